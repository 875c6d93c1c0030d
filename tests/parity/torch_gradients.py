#!/usr/bin/env python3
"""octet's gradients beside PyTorch's autograd, layer by layer and in a small network.

    python3 -m venv build/venv-torch && build/venv-torch/bin/pip install torch numpy onnx      # 5.4 GB
    build/venv-torch/bin/python tests/parity/torch_gradients.py build/release/octet

A gradient is what one step of `octet train` with plain SGD (rate 1, no momentum, no limit) takes off a parameter; batch and
micro-batch are the whole data. Each case is an ONNX graph with a dense layer behind what is tested, whose classes the
cross-entropy sees. Printed is the largest difference of a parameter's gradient, as a share of its largest element; what rounds
the parameter itself (f32, once) is allowed for by `BOUND`. Not a part of ./test.sh: PyTorch is too large for that."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

BATCH, CLASSES, BOUND = 8, 5, 1e-5
rng = np.random.default_rng(3)


class Case:
    """An ONNX graph and the same computation in PyTorch, built side by side. Parameters have short names."""

    def __init__(self, shape):
        self.shape, self.nodes, self.values, self.trained = shape, [], {}, []
        self.steps = []

    def parameter(self, name, shape, scale=0.3, offset=0.0, trained=True):
        self.values[name] = (offset + scale * rng.standard_normal(shape)).astype(np.float32)
        if trained:
            self.trained.append(name)
        return name

    def constant(self, name, array):
        self.values[name] = np.asarray(array)
        return name

    def node(self, op, inputs, torch_form, **attributes):
        """The output reads `inputs` (the first one of None: what came before)."""
        before = f"h{len(self.steps)}" if self.steps else "input"
        after = f"h{len(self.steps) + 1}"
        self.nodes.append(helper.make_node(op, [before if i is None else i for i in inputs], [after], after, **attributes))
        self.steps.append(torch_form)
        return self

    def block(self, nodes, torch_form):
        """Nodes as (op, inputs, outputs, attributes), "in" and "out" being what came before and what comes after."""
        before = f"h{len(self.steps)}" if self.steps else "input"
        after = f"h{len(self.steps) + 1}"
        name = lambda v: {"in": before, "out": after}.get(v, v)
        for op, inputs, outputs, attributes in nodes:
            self.nodes.append(helper.make_node(op, [name(v) for v in inputs], [name(v) for v in outputs], **attributes))
        self.steps.append(torch_form)
        return self

    def dense(self, features):
        index = len(self.steps)
        self.node("Flatten", [None], lambda x, p: x.flatten(1))
        w, b = self.parameter(f"w{index}", (CLASSES, features), 0.2), self.parameter(f"b{index}", (CLASSES,))
        self.node("Gemm", [None, w, b], lambda x, p: F.linear(x, p[w], p[b]), transB=1)
        return self

    def write(self, path):
        graph = helper.make_graph(
            self.nodes, "case", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *self.shape])],
            [helper.make_tensor_value_info(self.nodes[-1].output[0], TensorProto.FLOAT, ["N", CLASSES])],
            [numpy_helper.from_array(v, n) for n, v in self.values.items()])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)

    def torch_gradients(self, x, y):
        p = {n: torch.tensor(v, requires_grad=n in self.trained) for n, v in self.values.items()}
        h = torch.tensor(x)
        for step in self.steps:
            h = step(h, p)
        F.cross_entropy(h, torch.tensor(y)).backward()
        return {n: p[n].grad.numpy() for n in self.trained}


def conv(shape, filters, kernel, name="conv", **options):
    case = Case(shape)
    groups, stride, pad, dilation = (options.get(k, d) for k, d in (("groups", 1), ("stride", 1), ("pad", 1), ("dilation", 1)))
    case.parameter("w", (filters, shape[0] // groups, *kernel))
    case.parameter("b", (filters,))
    case.node("Conv", [None, "w", "b"],
              lambda x, p: F.conv2d(x, p["w"], p["b"], stride, pad, dilation, groups),
              kernel_shape=list(kernel), strides=[stride] * 2, pads=[pad] * 4, dilations=[dilation] * 2, group=groups)
    with torch.no_grad():
        out = case.steps[0](torch.zeros(1, *shape), {n: torch.tensor(v) for n, v in case.values.items()})
    return case.dense(out.numel())


def after_conv(op, torch_form, features, inputs=(None,), prepare=lambda case: None, **attributes):
    """`op` behind a 3x3 convolution of [4, 6, 6], so that its gradient reaches parameters."""
    case = Case((3, 6, 6))
    case.parameter("w", (4, 3, 3, 3))
    case.node("Conv", [None, "w"], lambda x, p: F.conv2d(x, p["w"], None, 1, 1), kernel_shape=[3, 3], pads=[1] * 4)
    prepare(case)
    case.node(op, list(inputs), torch_form, **attributes)
    return case.dense(features)


def after_dense(op, torch_form, inputs=(None,), prepare=lambda case: None, **attributes):
    case = Case((12,))
    case.parameter("w", (16, 12))
    case.node("Gemm", [None, "w"], lambda x, p: F.linear(x, p["w"]), transB=1)
    prepare(case)
    case.node(op, list(inputs), torch_form, **attributes)
    return case.dense(16)


def norm_parameters(channels, moments):
    def prepare(case):
        case.parameter("scale", (channels,), 0.2, 1.0)
        case.parameter("shift", (channels,))
        if moments:
            case.constant("mean", np.zeros(channels, np.float32))
            case.constant("variance", np.ones(channels, np.float32))
    return prepare


def small_network():
    case = Case((3, 8, 8))
    for i, (inputs, outputs, stride) in enumerate([(3, 8, 1), (8, 8, 2)]):
        w, s, b = case.parameter(f"w{i}_", (outputs, inputs, 3, 3)), case.parameter(f"s{i}", (outputs,), 0.1, 1), case.parameter(f"t{i}", (outputs,))
        m, v = case.constant(f"m{i}", np.zeros(outputs, np.float32)), case.constant(f"v{i}", np.ones(outputs, np.float32))
        case.node("Conv", [None, w], lambda x, p, w=w, stride=stride: F.conv2d(x, p[w], None, stride, 1),
                  kernel_shape=[3, 3], pads=[1] * 4, strides=[stride] * 2)
        case.node("BatchNormalization", [None, s, b, m, v],
                  lambda x, p, s=s, b=b: F.batch_norm(x, None, None, p[s], p[b], True, 0.1, 1e-5), epsilon=1e-5)
        case.node("Relu", [None], lambda x, p: torch.relu(x))
    case.node("GlobalAveragePool", [None], lambda x, p: x.mean((2, 3), keepdim=True))
    return case.dense(8)


def matmul():
    case = Case((12,))
    case.parameter("w", (12, 16))
    case.node("MatMul", [None, "w"], lambda x, p: x @ p["w"])
    return case.dense(16)


def concat():
    case = after_conv("Relu", lambda x, p: torch.relu(x), 0)
    case.nodes, case.steps = case.nodes[:2], case.steps[:2]
    case.values = {"w": case.values["w"]}
    case.trained = ["w"]
    case.node("Concat", [None, None], lambda x, p: torch.cat([x, x], 1), axis=1)
    return case.dense(8 * 36)


def transposed(filters, kernel, groups=1, stride=2, pad=0, extra=0):
    case = Case((3, 5, 4))
    case.parameter("w", (4, 3, 3, 3))
    case.node("Conv", [None, "w"], lambda x, p: F.conv2d(x, p["w"], None, 1, 1), kernel_shape=[3, 3], pads=[1] * 4)
    case.parameter("u", (4, filters // groups, kernel, kernel))
    case.parameter("b", (filters,))
    case.node("ConvTranspose", [None, "u", "b"],
              lambda x, p: F.conv_transpose2d(x, p["u"], p["b"], stride, pad, extra, groups),
              kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=groups, output_padding=[extra] * 2)
    out = F.conv_transpose2d(torch.zeros(1, 4, 5, 4), torch.zeros(4, filters // groups, kernel, kernel), None, stride, pad,
                             extra, groups)
    return case.dense(out.numel())


def attention():
    """Two heads over five rows of eight."""
    case = Case((5, 8))
    for name in ("query", "key", "value"):
        case.parameter(name, (8, 8))
    case.constant("heads", np.array([0, 0, 2, 4]))
    case.constant("rows", np.array([0, 0, 8]))
    nodes = []
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        nodes += [("MatMul", ["in", name], [f"{name}_rows"], {}), ("Reshape", [f"{name}_rows", "heads"], [f"{name}_heads"], {}),
                  ("Transpose", [f"{name}_heads"], [f"{name}_split"], {"perm": order})]
    nodes += [("MatMul", ["query_split", "key_split"], ["scores"], {}), ("Softmax", ["scores"], ["shares"], {"axis": -1}),
              ("MatMul", ["shares", "value_split"], ["mixed"], {}), ("Transpose", ["mixed"], ["joined"], {"perm": [0, 2, 1, 3]}),
              ("Reshape", ["joined", "rows"], ["out"], {})]

    def form(x, p):
        q, k, v = ((x @ p[n]).reshape(-1, 5, 2, 4).transpose(1, 2) for n in ("query", "key", "value"))
        return ((q @ k.transpose(2, 3)).softmax(-1) @ v).transpose(1, 2).reshape(-1, 5, 8)
    return case.block(nodes, form).dense(40)


def embedding():
    """Rows of a table by the sign of what comes in."""
    case = Case((6,))
    case.parameter("table", (2, 5))
    nodes = [("Greater", ["in", "zero"], ["positive"], {}), ("Cast", ["positive"], ["ids"], {"to": TensorProto.INT64}),
             ("Gather", ["table", "ids"], ["out"], {})]
    case.constant("zero", np.float32(0))
    return case.block(nodes, lambda x, p: p["table"][(x > 0).long()]).dense(30)


def split_in_two():
    case = after_conv("Identity", lambda x, p: x, 0)
    case.nodes, case.steps, case.trained = case.nodes[:2], case.steps[:2], ["w"]
    case.values = {"w": case.values["w"]}
    case.constant("parts", np.array([1, 3]))
    nodes = [("Split", ["in", "parts"], ["left", "right"], {"axis": 1}), ("Mul", ["left", "right"], ["out"], {})]
    return case.block(nodes, lambda x, p: x[:, :1] * x[:, 1:]).dense(3 * 36)


def cases():
    yield "conv 3x3", conv((3, 7, 7), 6, (3, 3))
    yield "conv 1x1", conv((3, 7, 7), 6, (1, 1), pad=0)
    yield "conv 5x3 stride 2", conv((3, 9, 9), 6, (5, 3), stride=2)
    yield "conv dilated", conv((3, 9, 9), 6, (3, 3), pad=2, dilation=2)
    yield "conv grouped", conv((6, 7, 7), 6, (3, 3), groups=3)
    yield "conv depthwise", conv((6, 7, 7), 6, (3, 3), groups=6)
    yield "conv depthwise stride 2", conv((6, 8, 8), 6, (3, 3), groups=6, stride=2)
    yield "Gemm", after_dense("Identity", lambda x, p: x)
    yield "MatMul", matmul()
    yield "BatchNormalization", after_conv(
        "BatchNormalization", lambda x, p: F.batch_norm(x, None, None, p["scale"], p["shift"], True, 0.1, 1e-5), 4 * 36,
        (None, "scale", "shift", "mean", "variance"), norm_parameters(4, True), epsilon=1e-5)
    yield "LayerNormalization", after_dense(
        "LayerNormalization", lambda x, p: F.layer_norm(x, (16,), p["scale"], p["shift"], 1e-5),
        (None, "scale", "shift"), norm_parameters(16, False), axis=-1, epsilon=1e-5)
    for op, form in (("Relu", torch.relu), ("Sigmoid", torch.sigmoid), ("Tanh", torch.tanh), ("HardSwish", F.hardswish),
                     ("LeakyRelu", lambda x: F.leaky_relu(x, 0.01)), ("Gelu", F.gelu), ("Erf", torch.erf), ("Exp", torch.exp)):
        yield op, after_conv(op, lambda x, p, form=form: form(x), 4 * 36)
    yield "Clip", after_conv("Clip", lambda x, p: x.clamp(0, 1), 4 * 36, (None, "low", "high"), lambda case: (
        case.constant("low", np.float32(0)), case.constant("high", np.float32(1))))
    yield "MaxPool", after_conv("MaxPool", lambda x, p: F.max_pool2d(x, 2), 36, kernel_shape=[2, 2], strides=[2, 2])
    yield "AveragePool", after_conv("AveragePool", lambda x, p: F.avg_pool2d(x, 3, 2), 16, kernel_shape=[3, 3], strides=[2, 2])
    yield "GlobalAveragePool", after_conv("GlobalAveragePool", lambda x, p: x.mean((2, 3), keepdim=True), 4)
    yield "Resize", after_conv("Resize", lambda x, p: F.interpolate(x, scale_factor=2), 4 * 144, (None, "", "scales"),
                               lambda case: case.constant("scales", np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    yield "ConvTranspose 2x2 stride 2", transposed(6, 2)
    yield "ConvTranspose 3x3 stride 2, output padding", transposed(3, 3, pad=1, extra=1)
    yield "ConvTranspose grouped", transposed(6, 4, groups=2, pad=1)
    for name, align, mode in (("half_pixel", False, "bilinear"), ("align_corners", True, "bilinear"),
                              ("half_pixel", False, "bicubic")):
        yield f"Resize {mode} {name}", after_conv(
            "Resize", lambda x, p, align=align, mode=mode: F.interpolate(x, size=(12, 9), mode=mode, align_corners=align),
            4 * 108, (None, "", "", "sizes"), lambda case: case.constant("sizes", np.array([BATCH, 4, 12, 9])),
            mode="linear" if mode == "bilinear" else "cubic", coordinate_transformation_mode=name)
    yield "Pad reflect", after_conv("Pad", lambda x, p: F.pad(x, (2, 1, 1, 2), "reflect"), 4 * 81, (None, "pads"), lambda case:
                                    case.constant("pads", np.array([0, 0, 1, 2, 0, 0, 2, 1])), mode="reflect")
    yield "Slice", after_conv("Slice", lambda x, p: x[:, 1:, :, ::2], 3 * 18, (None, "starts", "ends", "axes", "strides"), lambda
                              case: [case.constant(n, np.array(v)) for n, v in (("starts", [1, 0]), ("ends", [4, 6]),
                                                                               ("axes", [1, 3]), ("strides", [1, 2]))])
    yield "Split", split_in_two()
    for op, form in (("ReduceMean", lambda x: x.mean((1, 3), True)), ("ReduceSum", lambda x: x.sum((1, 3), True))):
        yield op, after_conv(op, lambda x, p, form=form: form(x), 6, (None, "axes"),
                             lambda case: case.constant("axes", np.array([1, 3])))
    yield "Pow", after_conv("Pow", lambda x, p: x ** 3, 4 * 36, (None, "k"), lambda case: case.constant("k", np.float32(3)))
    yield "Where", after_conv("Where", lambda x, p: torch.where(torch.tensor([True, False] * 3), x, 0.5), 4 * 36,
                              ("keep", None, "other"), lambda case: (case.constant("keep", np.array([True, False] * 3)),
                                                                    case.constant("other", np.float32(0.5))))
    yield "Gather", after_conv("Gather", lambda x, p: x[:, [2, 0, 2]], 3 * 36, (None, "ids"),
                               lambda case: case.constant("ids", np.array([2, 0, -2])), axis=1)
    yield "embedding", embedding()
    yield "attention", attention()
    yield "Softmax", after_dense("Softmax", lambda x, p: x.softmax(-1), axis=-1)
    yield "Concat", concat()
    yield "network: Conv, BatchNormalization, Relu twice, mean, Gemm", small_network()


def octet_gradients(octet, case, x, y, work):
    case.write(work / "before.onnx")
    np.save(work / "x.npy", x)
    np.save(work / "y.npy", y)
    done = subprocess.run([octet, "train", work / "before.onnx", "--data", work / "x.npy", "--labels", work / "y.npy",
                           "-o", work / "after.onnx", "--epochs", "1", "--batch", str(BATCH), "--micro-batch", str(BATCH),
                           "--lr", "1", "--momentum", "0", "--schedule", "constant", "--clip-norm", "0", "--quiet"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip()
    after = {i.name: numpy_helper.to_array(i) for i in onnx.load(work / "after.onnx").graph.initializer}
    return {n: case.values[n] - after[n] for n in case.trained}, ""


def fake_quant(x, scale, zero_point, low, high, elements):
    """LSQ (Esser et al. 2020) with autograd: the straight-through estimator, and the gradient of the scale times
    1 / sqrt(elements * largest code)."""
    factor = 1 / (elements * max(high - zero_point, 1)) ** 0.5
    scale = scale.detach() + factor * (scale - scale.detach())
    ratio = (x / scale).clamp(low - zero_point, high - zero_point)
    return (ratio + (ratio.round() - ratio).detach()) * scale


def quantizations(path):
    """Scale, zero point and codes (None but for constants) in the order of the nodes: activations, and weights by shape."""
    graph = onnx.load(path).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    activations, weights = [], {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            activations.append((constants[node.input[1]], constants[node.input[2]], None))
        elif node.op_type == "DequantizeLinear" and node.input[0] in constants:
            codes = constants[node.input[0]]
            if codes.dtype == np.int8:
                weights[codes.shape] = (constants[node.input[1]], constants[node.input[2]], codes)
    return activations, weights


LSQ_RATE, LSQ_BOUND = 0.002, 1e-3


def lsq_case(octet, work):
    """A step of SGD on a network of two dense layers in int8: what it adds to the scales of activations, beside autograd.
    Weights begin on their codes, where the gradient of their scales is nothing but rounding."""
    case = Case((12,))
    case.parameter("w1", (16, 12))
    case.parameter("b1", (16,))
    case.node("Gemm", [None, "w1", "b1"], None, transB=1)
    case.node("Relu", [None], None)
    case.parameter("w2", (CLASSES, 16))
    case.parameter("b2", (CLASSES,))
    case.node("Gemm", [None, "w2", "b2"], None, transB=1)
    case.write(work / "float.onnx")
    x, y = rng.standard_normal((BATCH, 12), np.float32), rng.integers(0, CLASSES, BATCH)
    np.save(work / "x.npy", x)
    np.save(work / "y.npy", y)
    common = [work / "float.onnx", "--data", work / "x.npy", "--per-tensor", "--optimize", "none", "--observer", "percentile",
              "--quiet"]
    subprocess.run([octet, "quantize", *common, "-o", work / "begin.onnx"], check=True, capture_output=True)
    subprocess.run([octet, "train", *common, "--labels", work / "y.npy", "-o", work / "end.onnx", "--qat", "--epochs",
                    "1", "--batch", str(BATCH), "--micro-batch", str(BATCH), "--lr", str(LSQ_RATE), "--momentum", "0",
                    "--schedule", "constant", "--clip-norm", "0"], check=True, capture_output=True)
    (begin, weights), (end, _) = quantizations(work / "begin.onnx"), quantizations(work / "end.onnx")
    begin += [weights[case.values[name].shape] for name in ("w1", "w2")]
    scales = [torch.tensor(float(scale), requires_grad=True) for scale, _, _ in begin]
    w1, w2 = (torch.tensor(codes.astype(np.float32) * np.float32(scale)) for scale, _, codes in begin[-2:])
    b1, b2 = (torch.tensor(case.values[n]) for n in ("b1", "b2"))

    def quantized(index, value, elements):
        _, zero_point, codes = begin[index]
        limits = np.iinfo(zero_point.dtype)
        return fake_quant(value, scales[index], int(zero_point), limits.min if codes is None else -127, limits.max, elements)

    h = quantized(0, torch.tensor(x), 12)
    h = quantized(1, torch.relu(F.linear(h, quantized(-2, w1, w1.numel()), b1)), 16)
    h = F.linear(h, quantized(-1, w2, w2.numel()), b2)  # the scores stay float
    F.cross_entropy(h, torch.tensor(y)).backward()
    differences = []
    for (before, _, _), (after, _, _), scale in zip(begin, end, scales):  # as far as `end` goes: activations
        theirs = -LSQ_RATE * float(scale.grad)
        # A scale is rounded to f32, which counts where it hardly changes.
        differences.append(abs(float(after - before) - theirs) / max(abs(theirs), 1e-3 * float(before)))
    return max(differences), len(differences)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    octet, failed, worst = pathlib.Path(sys.argv[1]).resolve(), 0, 0.0
    count = 0
    for name, case in cases():
        count += 1
        x = rng.standard_normal((BATCH, *case.shape), np.float32)
        y = rng.integers(0, CLASSES, BATCH)
        with tempfile.TemporaryDirectory() as work:
            ours, error = octet_gradients(octet, case, x, y, pathlib.Path(work))
        if ours is None:
            print(f"FAIL {name}: {error}")
            failed += 1
            continue
        theirs = case.torch_gradients(x, y)
        # A bias before BatchNormalization and the like have a gradient of nothing but rounding.
        largest = max(np.abs(g).max() for g in theirs.values())
        difference = max(np.abs(ours[n] - theirs[n]).max() / max(np.abs(theirs[n]).max(), 0.01 * largest) for n in theirs)
        bad = not difference < BOUND
        failed, worst = failed + bad, max(worst, difference)
        print(f"{'FAIL' if bad else 'ok  '} {name}: largest difference {difference:.1e} of {len(theirs)} parameters' gradients")
    with tempfile.TemporaryDirectory() as work:
        difference, scales = lsq_case(octet, pathlib.Path(work))
    count, bad = count + 1, not difference < LSQ_BOUND
    failed += bad
    print(f"{'FAIL' if bad else 'ok  '} LSQ: largest difference {difference:.1e} of {scales} scales' gradients")
    print(f"torch gradients: {count - failed} checks passed, {failed} failed; largest difference {worst:.1e}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
