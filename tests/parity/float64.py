#!/usr/bin/env python3
"""Whose float outputs are how exact: octet, ONNX Runtime and LiteRT on the MobileNets, against an evaluation in float64.

    tests/parity/float64.py OCTET [--images N]

Prints for each the largest difference to the float64 outputs, and between octet's and LiteRT's, as shares of the largest
output. LiteRT runs what `octet convert` makes of the ONNX model. Needs the models of ../shared.
"""
import argparse
import pathlib
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402
import litert  # noqa: E402

MODELS = ("mobilenet_v1_075_224", "mobilenet_v2_100_224")


def windows(x, kernel, strides, pads):
    """For each tap of a window: its position and the values it meets, one for each output pixel."""
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    rows, columns = ((x.shape[2 + i] - kernel[i]) // strides[i] + 1 for i in (0, 1))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield (i, j), x[:, :, i:i + rows * strides[0]:strides[0], j:j + columns * strides[1]:strides[1]]


def conv(x, w, b=None, group=1, kernel_shape=None, strides=(1, 1), pads=(0, 0, 0, 0), **_):
    total = 0
    for (i, j), taps in windows(x, w.shape[2:], strides, pads):
        if group == 1:
            total = total + np.einsum("oc,nchw->nohw", w[:, :, i, j], taps, optimize=True)
        else:  # one channel each
            total = total + taps * w[:, 0, i, j][:, None, None]
    return total if b is None else total + b[:, None, None]


def batch_norm(x, scale, shift, mean, variance, epsilon=1e-5, **_):
    factor = scale / np.sqrt(variance + epsilon)
    return x * factor[:, None, None] + (shift - mean * factor)[:, None, None]


def average(x, kernel_shape, strides=(1, 1), pads=(0, 0, 0, 0), **_):
    taps = [values for _, values in windows(x, kernel_shape, strides, pads)]
    return sum(taps) / len(taps)


def softmax(x, axis=-1, **_):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


OPERATORS = {
    "Conv": conv, "BatchNormalization": batch_norm, "AveragePool": average, "Softmax": softmax,
    "Clip": lambda x, low, high, **_: np.clip(x, low, high), "Add": lambda a, b, **_: a + b,
    "GlobalAveragePool": lambda x, **_: x.mean((2, 3), keepdims=True), "Flatten": lambda x, **_: x.reshape(len(x), -1),
    "Reshape": lambda x, shape, **_: x.reshape([len(x)] + [int(d) for d in shape[1:]]),
}


def evaluate(path, x):
    graph = onnx.load(str(path)).graph
    values = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
    values[graph.input[0].name] = x.astype(np.float64)
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATORS[node.op_type](*[values[n] for n in node.input if n], **attributes)
    return values[graph.output[0].name]


def of_octet(octet, path, x, folder):
    np.save(f"{folder}/x.npy", x)
    octet("run", path, "--input", f"{folder}/x.npy", "-o", f"{folder}/y.npy", "--engine", "float")
    return np.load(f"{folder}/y.npy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--images", type=int, default=60)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    for model in common.models(MODELS):
        x, _ = common.load(model.evaluation, model.recipe, options.images)
        exact = np.concatenate([evaluate(model.path, x[i:i + 4]) for i in range(0, len(x), 4)])
        share = lambda a, b: np.abs(a - b).max() / np.abs(exact).max()
        with tempfile.TemporaryDirectory() as folder:
            octet("convert", model.path, "-o", f"{folder}/m.tflite")
            session = common.ort_session(model.path, True)
            found = {"octet": of_octet(octet, model.path, x, folder),
                     "ONNX Runtime": session.run(None, {session.get_inputs()[0].name: x})[0],
                     "LiteRT, XNNPACK": litert.run(f"{folder}/m.tflite", [x], "xnnpack")[0],
                     "LiteRT, reference kernels": litert.run(f"{folder}/m.tflite", [x], "reference")[0]}
        print(f"{model.name}, {len(x)} images, largest output {np.abs(exact).max():.3g}; to float64: "
              + ", ".join(f"{name} {share(y, exact):.2e}" for name, y in found.items())
              + "; octet to LiteRT: " + ", ".join(f"{share(found['octet'], found[n]):.2e}" for n in list(found)[2:]), flush=True)


if __name__ == "__main__":
    main()
