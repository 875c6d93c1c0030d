#!/usr/bin/env python3
"""Scales that LiteRT does not take: octet's int8 .tflite files keep clear of them, whatever calibration saw.

    tests/parity/litert_limits.py OCTET [--only TEXT] [--sweep]

Each case is a small ONNX model, one operator whose result or operand is dead (0 in all samples), nearly dead, or far larger
or smaller than what it meets. octet quantizes it for target tflite (layers of one scale also for tflite-micro) with int8
borders; the file loads in LiteRT with its reference kernels, its optimized kernels and XNNPACK, and gives the codes of `octet run` by rules tflite and
xnnpack on random codes. Runs of LiteRT are in a process of their own, since what it does not take may abort it.

--sweep prints for hand-made models of one operator the ratios of scales, as powers of two, at which LiteRT fails or differs
from octet: where the limits in src/passes/targets/tflite.cpp come from. Exits with 1 if a case fails.
"""
import argparse
import os
import pathlib
import pickle
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402
import litert  # noqa: E402
import litert_sweep  # noqa: E402
from run import Checks  # noqa: E402

RULES = {"tflite": "reference", "xnnpack": "xnnpack"}
PER_TENSOR = {"Gemm", "MatMul"}  # where target tflite-micro has other scales
WITHOUT_REFERENCE = {"Elu"}  # LiteRT's reference resolver has no such operator


class Net:
    """An ONNX graph of inputs in [-1, 1]; values are names."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.random = [], [], [], np.random.default_rng(5)

    def input(self, *shape):
        self.inputs.append((f"x{len(self.inputs)}", shape))
        return self.inputs[-1][0]

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(self, *shape):
        return self.constant(self.random.uniform(-.5, .5, shape))

    def op(self, kind, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def dead(self, x):
        return self.op("Relu", self.op("Sub", x, self.constant(100)))

    def tiny(self, x, high=1e-9):
        return self.op("Clip", x, self.constant(0), self.constant(high))

    def conv(self, x, outs=4, ins=4, bias=None, k=3, weight=None, group=1):
        weight = self.weight(outs, ins // group, k, k) if weight is None else self.constant(weight)
        more = [] if bias is None else [self.constant(np.broadcast_to(bias, outs))]
        return self.op("Conv", x, weight, *more, pads=[k // 2] * 4, group=group)

    def save(self, path, output):
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "limits", [value(n, s) for n, s in self.inputs], [value(output, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.save(onnx.shape_inference.infer_shapes(model), str(path))


IMAGE = (1, 4, 6, 6)


def unary(kind, **attributes):
    return lambda n, x: n.op(kind, x, **attributes)


UNARY = {
    "Relu": unary("Relu"), "LeakyRelu": unary("LeakyRelu"), "HardSwish": unary("HardSwish"), "Elu": unary("Elu"),
    "PRelu": lambda n, x: n.op("PRelu", x, n.constant(np.full((4, 1, 1), .3))),
    "Conv": lambda n, x: n.conv(x, bias=.1), "depthwise": lambda n, x: n.conv(x, group=4, bias=.1),
    "ConvTranspose": lambda n, x: n.op("ConvTranspose", x, n.weight(4, 3, 2, 2), strides=[2, 2]),
    "Gemm": lambda n, x: n.op("Gemm", n.op("Flatten", x), n.weight(144, 5), n.weight(5)),
    "MatMul": lambda n, x: n.op("MatMul", x, n.op("Transpose", x, perm=[0, 1, 3, 2])),
    "Add": lambda n, x: n.op("Add", x, n.input(*IMAGE)), "Sub": lambda n, x: n.op("Sub", x, n.input(*IMAGE)),
    "Mul": lambda n, x: n.op("Mul", x, n.input(*IMAGE)), "Mul by 1e-6": lambda n, x: n.op("Mul", x, n.constant(1e-6)),
    "Mul by 9000": lambda n, x: n.op("Mul", x, n.constant(9000)), "Add 1e-6": lambda n, x: n.op("Add", x, n.constant(1e-6)),
    "Sub 9000": lambda n, x: n.op("Sub", x, n.constant(9000)), "GlobalAveragePool": unary("GlobalAveragePool"),
    "ReduceMean": lambda n, x: n.op("ReduceMean", x, n.constant([3], np.int64)),
    "ReduceSum": lambda n, x: n.op("ReduceSum", x, n.constant([2, 3], np.int64)),
    "Softmax": unary("Softmax", axis=3), "LogSoftmax": unary("LogSoftmax", axis=3), "Sigmoid": unary("Sigmoid"),
    "Tanh": unary("Tanh"), "Relu6": lambda n, x: n.op("Clip", n.conv(x), n.constant(0), n.constant(6)),
    "MaxPool": unary("MaxPool", kernel_shape=[2, 2]), "Concat": lambda n, x: n.op("Concat", x, n.input(*IMAGE), axis=1),
    "Gelu": lambda n, x: n.op("Mul", n.op("Mul", x, n.constant(.5)), n.op("Add", n.constant(1), n.op(
        "Erf", n.op("Mul", x, n.constant(np.sqrt(.5)))))),
}


def cases():
    """(name, operator, fn(net) -> output)."""
    for kind, make in UNARY.items():
        yield f"{kind} of a dead value", kind, lambda n, m=make: m(n, n.dead(n.input(*IMAGE)))
        yield f"{kind} of values up to 1e-9", kind, lambda n, m=make: m(n, n.tiny(n.input(*IMAGE)))
        yield f"{kind}, result up to 1e-9", kind, lambda n, m=make: n.tiny(m(n, n.input(*IMAGE)))
        yield f"{kind}, result dead", kind, lambda n, m=make: n.op("Relu", n.op("Sub", m(n, n.input(*IMAGE)), n.constant(9500)))
    for kind in ("Add", "Sub"):
        far = lambda n: n.op("Mul", n.input(*IMAGE), n.constant(5000))
        yield f"{kind} of 5000 and 1e-3", kind, lambda n, k=kind: n.op(k, far(n), n.tiny(n.input(*IMAGE), 1e-3))
        yield f"{kind} of a Sigmoid and 5000", kind, lambda n, k=kind: n.op(k, n.op("Sigmoid", n.input(*IMAGE)), far(n))

        def read_twice(n, k=kind):
            small = n.tiny(n.input(*IMAGE), 1e-3)
            return n.op("Concat", n.op(k, far(n), small), n.op("Mul", small, n.constant(3)), axis=1)
        yield f"{kind} of 5000 and what others read", kind, read_twice
    yield "dead channels", "Conv", dead_channels
    yield "dead layers", "Conv", lambda n: n.conv(n.op("Relu", n.conv(n.op("Relu", n.conv(n.input(*IMAGE), bias=-100.)), bias=-1.)), bias=.5)
    yield "sums of 4096 products, result up to 1e-6", "Gemm", lambda n: n.tiny(n.op("Gemm", n.input(1, 4096), n.weight(4096, 3)), 1e-6)
    yield "exponentials in a chain", "Exp", lambda n: n.tiny(n.op("Exp", n.op("Mul", n.input(*IMAGE), n.constant(20))), 1e-5)


def dead_channels(n):
    weight = n.random.uniform(-.5, .5, (8, 4, 3, 3))
    weight[::3] = 0
    weight[1::3] *= 1e-12
    bias = np.where(np.arange(8) % 2, -100., 1e-7)
    return n.conv(n.op("Relu", n.conv(n.input(*IMAGE), 8, bias=bias, weight=weight)), 3, 8, bias=1e-3)


def in_child(function):
    """(True, its result), or (False, why not): it may abort."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            result = (True, function())
        except Exception as error:
            result = (False, (str(error).splitlines() or [type(error).__name__])[0][:150])
        with os.fdopen(send, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if status == 0 and data else (False, f"LiteRT ended by signal {os.WTERMSIG(status)}")


class Runner:
    def __init__(self, checks, octet, folder):
        self.checks, self.octet, self.folder = checks, octet, folder

    def quantize(self, name, make, target):
        net = Net()
        output = make(net)
        net.save(self.folder / "m.onnx", output)
        data = {n: net.random.uniform(-1, 1, (16, *s[1:])).astype(np.float32) for n, s in net.inputs}
        np.savez(self.folder / "data.npz", **data)
        path = self.folder / "m.tflite"
        self.octet("quantize", self.folder / "m.onnx", "-o", path, "--target", target, "--data", self.folder / "data.npz",
                   "--io", "int8")
        return path, net

    def run(self, name, kind, make, target):
        try:
            path, net = self.quantize(name, make, target)
        except SystemExit as error:
            self.checks.expect(False, f"{name}, {target}: {str(error).strip().splitlines()[-1][:200]}")
            return
        feeds = [net.random.integers(-128, 128, s).astype(np.int8) for _, s in net.inputs]
        options = []
        for (n, _), codes in zip(net.inputs, feeds):
            np.save(self.folder / f"{n}.npy", codes)
            options += ["--input", f"{n}={self.folder}/{n}.npy"]
        found = []
        loads, why = in_child(lambda: litert.run(path, self.in_order(path, net, feeds), "optimized"))
        found += [] if loads else [f"optimized kernels: {why}"]
        for rule, kernels in RULES.items():
            if rule == "tflite" and kind in WITHOUT_REFERENCE:
                continue
            good, theirs = in_child(lambda: litert.run(path, self.in_order(path, net, feeds), kernels))
            self.octet("run", path, "-o", self.folder / "y.npy", "--rule", rule, *options)
            ours = np.load(self.folder / "y.npy")
            if not good:
                found.append(f"{kernels}: {theirs}")
            elif ours.dtype != theirs[0].dtype or ours.shape != theirs[0].shape or (ours != theirs[0]).any():
                found.append(f"rule {rule}: {int((ours != theirs[0]).sum())} of {ours.size} codes differ")
        self.checks.expect(not found, f"{name}, {target}: {'; '.join(found) or 'loads, equal by both rules'}")

    def in_order(self, path, net, feeds):
        names = [n for n, _ in net.inputs]
        details = litert.interpreter(path, "optimized", allocate=False).get_input_details()
        return [feeds[names.index(d["name"])] for d in details]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--only", default="")
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    if options.sweep:
        litert_sweep.sweep(options.octet, options.only, in_child)
        return
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(checks, common.Octet(options.octet), pathlib.Path(folder))
        for name, kind, make in cases():
            if options.only in name:
                for target in ("tflite", "tflite-micro") if kind in PER_TENSOR else ("tflite",):
                    runner.run(name, kind, make, target)
    print(f"limits: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
