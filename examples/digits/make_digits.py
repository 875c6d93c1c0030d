#!/usr/bin/env python3
"""Makes everything else in this folder: the data files and the two trained float models.

    python3 -m venv v && v/bin/pip install numpy onnx pillow scikit-learn
    v/bin/python examples/digits/make_digits.py

The images are those of scikit-learn's load_digits (ATTRIBUTION.md). Their values 0..16 are stored as
bytes, round(v * 255 / 16). 360 of the 1,797, evenly over the classes, are the test set.
"""

import gzip
import json
import pathlib
import shutil
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits

import network as net

HERE = pathlib.Path(__file__).parent
RECIPE = {"color": "gray", "scale": 1 / 255}
TEST_COUNT, FOLDER_PER_CLASS, SEED = 360, 20, 7


def split(labels):
    """Indices of the training and the test set, each in the order of the source."""
    rng = np.random.default_rng(SEED)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[rng.permutation(members)[:TEST_COUNT // 10]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def write_idx(name, array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0)
    (HERE / name).write_bytes(data)


def write_folder(pixels, labels):
    """The first images of each class of the test set once more, as PNG in class folders."""
    shutil.rmtree(HERE / "images", ignore_errors=True)
    for digit in range(10):
        folder = HERE / "images" / str(digit)
        folder.mkdir(parents=True)
        for i, index in enumerate(np.flatnonzero(labels == digit)[:FOLDER_PER_CLASS]):
            Image.fromarray(pixels[index]).save(folder / f"{i:02}.png", optimize=True)


class Exporter:
    def __init__(self):
        self.nodes, self.weights = [], []

    def tensor(self, name, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name + "_out"], name, **attributes))
        return name + "_out"

    def layer(self, layer, x):
        prefix = f"{layer.op.lower()}_{len(self.nodes)}" if hasattr(layer, "op") else ""
        if isinstance(layer, net.Residual):
            inner = x
            for part in layer.layers:
                inner = self.layer(part, inner)
            return self.node("Add", [x, inner])
        if isinstance(layer, net.Conv):
            weight = self.tensor(prefix + "_weight", layer.weight.value)
            return self.node("Conv", [x, weight], kernel_shape=[layer.kernel] * 2,
                             strides=[layer.stride] * 2, pads=[layer.pad] * 4, group=layer.groups)
        if isinstance(layer, net.BatchNorm):
            arrays = {"scale": layer.gamma.value, "bias": layer.beta.value,
                      "mean": layer.mean, "variance": layer.variance}
            names = [self.tensor(f"{prefix}_{key}", value) for key, value in arrays.items()]
            return self.node("BatchNormalization", [x, *names], epsilon=layer.epsilon)
        if isinstance(layer, net.Gemm):
            weight = self.tensor(prefix + "_weight", layer.weight.value)
            bias = self.tensor(prefix + "_bias", layer.bias.value)
            return self.node("Gemm", [x, weight, bias], transB=1)
        return self.node(layer.op, [x])


def export(network, name):
    exporter, x = Exporter(), "input"
    for layer in network.layers:
        x = exporter.layer(layer, x)
    exporter.nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        exporter.nodes, name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])], exporter.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10,
                              producer_name="octet examples/digits")
    helper.set_model_props(model, {"octet.recipe": json.dumps(RECIPE)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / f"{name}.onnx")


def make_cnn(rng):
    def block(inputs, outputs, kernel, **options):
        return [net.Conv(rng, inputs, outputs, kernel, **options), net.BatchNorm(outputs)]

    return net.Sequence(
        *block(1, 16, 3), net.Relu(),
        *block(16, 16, 3, stride=2, groups=16), net.Relu(),
        *block(16, 32, 1), net.Relu(),
        net.Residual(*block(32, 32, 3), net.Relu(), *block(32, 32, 3)), net.Relu(),
        net.GlobalAveragePool(), net.Flatten(), net.Gemm(rng, 32, 10))


def make_mlp(rng):
    return net.Sequence(net.Flatten(), net.Gemm(rng, 64, 64), net.Relu(), net.Gemm(rng, 64, 10))


def main():
    source = load_digits()
    pixels = np.floor(source.images * 255 / 16 + 0.5).astype(np.uint8)
    labels = source.target
    x = (pixels.astype(np.float32) * np.float32(RECIPE["scale"]))[:, None]
    training, test = split(labels)
    for prefix, chosen in ("train", training), ("t10k", test):
        write_idx(f"{prefix}-images-idx3-ubyte.gz", pixels[chosen])
        write_idx(f"{prefix}-labels-idx1-ubyte.gz", labels[chosen])
    write_folder(pixels[test], labels[test])
    (HERE / "recipe.json").write_text(json.dumps(RECIPE) + "\n")
    for name, make, epochs in ("digits_cnn", make_cnn, 60), ("digits_mlp", make_mlp, 100):
        rng = np.random.default_rng(SEED)
        network = make(rng)
        net.train(network, x[training], labels[training], epochs, rng)
        export(network, name)
        right = (network.forward(x[test]).argmax(1) == labels[test]).mean()
        print(f"{name}: top-1 {100 * right:.2f} % of {len(test)} test images")


if __name__ == "__main__":
    main()
