#!/usr/bin/env python3
"""Is `octet inspect --target-machine` right about which layers int8 makes faster?

    bench/pays.py OCTET [MODEL...]

Predicts each layer of each model, measures the times of `octet bench --layers` of the float model and of its quantized model,
and counts the layers on which the sign is right: common.py's models and MLPerf Tiny's. Run it on a quiet machine.
"""

import pathlib
import sys
import tempfile

import numpy as np

import common

TINY = {"ic_resnet8_float": (32, 32, 3), "vww_mobilenet025_float": (96, 96, 3), "ad_autoencoder_float": (640,),
        "kws_dscnn_reftwin_float": (49, 10, 1)}


def layer_times(octet, path):
    """Milliseconds by node name."""
    times = {}
    for layer in octet("bench", path, "--layers", "--threads", "1")["layers"]:
        times[layer["name"]] = times.get(layer["name"], 0) + layer["ms"]
    return times


def judge(octet, name, source, quantized):
    predicted = octet("inspect", source, "--target-machine", "--threads", "1")["target_machine"]["layers"]
    floats, integers = layer_times(octet, source), layer_times(octet, quantized)
    right = count = 0
    for layer in predicted:
        f = sum(floats.get(n, 0) for n in layer["nodes"])
        q = sum(integers.get(n, 0) for n in layer["nodes"])
        if f == 0 or q == 0:
            print(f"  {layer['name']} ({layer['op']}) was not measured on both sides")
            continue
        count += 1
        same = layer["pays"] == (q < f)
        right += same
        if not same:
            print(f"  {layer['name']} ({layer['op']}): measured {f:.4f} ms float, {q:.4f} int8; "
                  f"predicted {layer['float_ms']:.4f} and {layer['integer_ms']:.4f}")
    print(f"{name}: {right} of {count} layers right", flush=True)
    return right, count


def tiny(octet, name, folder):
    """MLPerf Tiny's float model and an int8 one of it. How long kernels take does not depend on values: noise calibrates."""
    source = common.SHARED / "models/mlperf_tiny" / f"{name}.tflite"
    np.save(f"{folder}/noise.npy", np.random.default_rng(0).standard_normal((16, *TINY[name])).astype(np.float32))
    octet("quantize", source, "-o", f"{folder}/model.tflite", "--data", f"{folder}/noise.npy")
    return source, pathlib.Path(folder) / "model.tflite"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    octet, names = common.Octet(sys.argv[1]), sys.argv[2:]
    totals = [0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for model in common.models():
            if names and model.name not in names:
                continue
            quantized = pathlib.Path(folder) / "model.onnx"
            octet.quantize(model, quantized)
            totals = [a + b for a, b in zip(totals, judge(octet, model.name, model.path, quantized))]
        for name in TINY:
            if common.SHARED.is_dir() and (not names or name in names):
                totals = [a + b for a, b in zip(totals, judge(octet, name, *tiny(octet, name, folder)))]
    if totals[1]:
        print(f"all: {totals[0]} of {totals[1]} layers, {100 * totals[0] / totals[1]:.1f} %")


if __name__ == "__main__":
    main()
