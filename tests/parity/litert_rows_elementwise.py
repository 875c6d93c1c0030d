#!/usr/bin/env python3
"""The rows of rules tflite and xnnpack in docs/arithmetic.md, measured on LiteRT operator by operator: those that don't accumulate.

    tests/parity/litert_rows_elementwise.py [--seeds N] [--octet OCTET] [--only TEXT]

Each row makes .tflite models of one operator with random scales and zero points, many of them such that results land on a
tie between two codes, runs them with LiteRT's reference kernels (rule tflite) and as LiteRT runs them by default (rule
xnnpack), and counts the codes that differ from the formula (litert_formulas_elementwise.py). With --octet it also counts
the codes that `octet run` gives differently from LiteRT. Functions of one or two codes are run on all of them. Exits with 1
if anything differs.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import litert
import litert_formulas_elementwise as formulas
from litert_formulas_elementwise import Params, f32, i64

RULES = {"tflite": "reference", "xnnpack": "xnnpack"}
PLAIN = {"Relu": "RELU", "Relu6": "RELU6", "Relu1": "RELU_N1_TO_1"}
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


class Case:
    """A model of one operator, its inputs, and the codes that a rule gives."""

    def __init__(self, kind):
        self.kind, self.low = kind, np.iinfo(kind).min
        self.model, self.inputs, self.outputs = litert.Model(), [], []

    def value(self, codes, params, kind=None, signature=None):
        name = f"x{len(self.inputs)}"
        tensor = self.model.tensor(name, codes.shape, kind or self.kind, params.scale, params.zero, signature=signature)
        self.inputs.append((tensor, name, codes.astype(kind or self.kind)))
        return tensor

    def floats(self, values):
        tensor = self.model.tensor("x0", values.shape)
        self.inputs.append((tensor, "x0", values))
        return tensor

    def constant(self, data, kind="int32", params=None):
        data = np.asarray(data)
        quantized = {} if params is None else dict(scale=params.scale, zero_point=params.zero)
        return self.model.tensor("constant", data.shape, kind, data=data, **quantized)

    def finish(self, operator, operands, shapes, outputs, want, version=1, signature=None, **options):
        """shapes and outputs: one or a list of them; want(rule): an array or a list of them."""
        shapes, outputs = ([shapes], [outputs]) if isinstance(outputs, Params) else (shapes, outputs)
        for i, (shape, params) in enumerate(zip(shapes, outputs)):
            self.outputs.append(self.model.tensor(f"y{i}", shape, self.kind, params.scale, params.zero, signature=signature))
        self.model.op(operator, operands, self.outputs, version=version, **options)
        self.bytes = self.model.bytes([t for t, _, _ in self.inputs], self.outputs)
        self.want = want
        return self

    def litert(self, rule):
        return litert.run(self.bytes, [v for _, _, v in self.inputs], RULES[rule])

    def octet(self, program, rule, folder):
        (folder / "m.tflite").write_bytes(self.bytes)
        result = folder / ("y.npy" if len(self.outputs) == 1 else "out")
        arguments = [program, "run", folder / "m.tflite", "--rule", rule, "-o", result, "--quiet"]
        for _, name, value in self.inputs:
            np.save(folder / f"{name}.npy", value)
            arguments += ["--input", f"{name}={folder}/{name}.npy"]
        done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        if len(self.outputs) == 1:
            return [np.load(result)]
        return [np.load(result / f"y{i}.npy") for i in range(len(self.outputs))]


def any_params(rng, case, top=-1.5):
    return Params(np.exp(rng.uniform(-6, top)), rng.integers(case.low, case.low + 256))


def pair(rng, case, spread=1.5):
    """Params of an input and an output, often in a ratio of small integers."""
    a, b = any_params(rng, case), any_params(rng, case)
    ratio = rng.integers(4, 64) / 16 if rng.integers(0, 3) == 0 else np.exp(rng.uniform(-spread, spread))
    return a, Params(a.scale * f32(ratio), b.zero)


def fraction(rng, case):
    """A ratio in which most multiples land on ties but for the rounding of the scales."""
    a, y = any_params(rng, case), any_params(rng, case)
    p, q = 2 * rng.integers(1, 32, 2)
    return Params(y.scale * f32((p + 1) / q), a.zero), y


def all_codes(case):
    return np.arange(256).reshape(1, 256) + case.low


def all_pairs(case):
    codes = np.arange(256) + case.low
    return np.repeat(codes, 256).reshape(1, 256, 256, 1), np.tile(codes, 256).reshape(1, 256, 256, 1)


def some_codes(rng, case, shape, narrow=None):
    """Codes of the whole range, or of a part of it."""
    codes = rng.integers(case.low, case.low + 256, shape)
    if narrow if narrow is not None else rng.integers(0, 2):
        codes = np.clip(codes // 8 + rng.integers(case.low, case.low + 256), case.low, case.low + 255)
    return codes


# Rows: fn(rng, kind) -> Case.


def binary(operator, ratios=(0, 6)):
    def row(rng, kind):
        case = Case(kind)
        a, b, y = (any_params(rng, case) for _ in range(3))
        if operator == "MUL":
            y.scale = f32(a.scale * b.scale * np.exp(rng.uniform(*ratios)))
            if rng.integers(0, 2):
                y.scale = f32(a.scale * b.scale * rng.integers(8, 400) / 4)
        else:
            y.scale = f32(max(a.scale, b.scale) * np.exp(rng.uniform(-1, 2)))
            if rng.integers(0, 2):
                a.scale, b.scale = (f32(y.scale * rng.integers(1, 24) / 16) for _ in range(2))
        activation = int(rng.integers(0, 4))
        x, z = all_pairs(case)
        options = {"MUL": "MulOptions", "ADD": "AddOptions", "SUB": "SubOptions"}[operator]
        def want(rule):
            low, high = formulas.bounds(activation, y, case.low, rule == "xnnpack")
            return formulas.binary(operator, rule, x, z, a, b, y, low, high)
        operands = [case.value(x, a), case.value(z, b)]
        return case.finish(operator, operands, x.shape, y, want, **{options: dict(fusedActivationFunction=activation)})
    return row


def broadcast(operator, constant):
    def row(rng, kind):
        case = Case(kind)
        a, b, y = (any_params(rng, case) for _ in range(3))
        y.scale = f32(max(a.scale, b.scale) * 2) if operator != "MUL" else f32(a.scale * b.scale * 50)
        shapes = [((2, 5, 7, 6), (1, 1, 1, 6)), ((2, 5, 7, 6), (2, 1, 7, 1)), ((1, 5, 1, 6), (3, 1, 4, 6)),
                  ((2, 3, 4), (4,)), ((7, 9), (1, 1))][rng.integers(0, 5)]
        x, z = (some_codes(rng, case, shape) for shape in shapes)
        if rng.integers(0, 2) and not constant:
            x, z = z, x
        options = {"MUL": "MulOptions", "ADD": "AddOptions", "SUB": "SubOptions"}[operator]
        second = case.constant(z, kind, b) if constant else None
        operands = [case.value(x, a), second if constant else case.value(z, b)]
        return case.finish(operator, operands, np.broadcast_shapes(x.shape, z.shape), y,
                           lambda rule: formulas.binary(operator, rule, x, z, a, b, y, case.low, case.low + 255),
                           **{options: {}})
    return row


def squared_difference(rng, kind):
    case = Case(kind)
    a, b, y = (any_params(rng, case) for _ in range(3))
    y.scale = f32(max(a.scale, b.scale) ** 2 * np.exp(rng.uniform(0, 6)))
    x, z = all_pairs(case)
    return case.finish("SQUARED_DIFFERENCE", [case.value(x, a), case.value(z, b)], x.shape, y,
                       lambda rule: formulas.squared_difference(x, z, a, b, y, case.low))


def prelu(rng, kind):
    case = Case(kind)
    a, y = pair(rng, case)
    b = any_params(rng, case, 0)
    x = np.tile(np.arange(256) + case.low, 16).reshape(1, 16, 16, 16)
    z = some_codes(rng, case, (1, 1, 16), narrow=False)
    return case.finish("PRELU", [case.value(x, a), case.constant(z, kind, b)], x.shape, y,
                       lambda rule: formulas.prelu(x, z, a, b, y, case.low))


def extreme(operator):
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng, case)
        x, z = all_pairs(case)
        fn = np.maximum if operator == "MAXIMUM" else np.minimum
        return case.finish(operator, [case.value(x, p), case.value(z, p)], x.shape, p, lambda rule: fn(x, z))
    return row


def unary(operator, formula, params=pair, version=1, **options):
    def row(rng, kind):
        case = Case(kind)
        a, y = params(rng, case)
        x = all_codes(case)
        return case.finish(operator, [case.value(x, a)], x.shape, y,
                           lambda rule: formula(rule, x, a, y, case.low), version=version, **options)
    return row


def fixed(scale, zero):
    """Outputs that LiteRT demands; the zero point counts from the lowest code."""
    def params(rng, case):
        return any_params(rng, case, 0), Params(scale, case.low + zero)
    return params


def positive(rng, case):
    a, y = pair(rng, case)
    return Params(a.scale, case.low), y


def coarse(rng, case):
    """An output whose step is not far below the input's."""
    a, y = pair(rng, case)
    return a, Params(max(y.scale, a.scale / 64), y.zero)


def leaky_relu(rng, kind):
    alpha = float(f32(rng.choice([.1, .01, .2, .3, 1 / 3, .125, -.25, 1.5, rng.uniform(0, 1)])))
    return unary("LEAKY_RELU", lambda rule, x, a, y, low: formulas.leaky_relu(rule, alpha, x, a, y, low), version=2,
                 LeakyReluOptions=dict(alpha=alpha))(rng, kind)


def quantize(rng, kind):
    case = Case(kind)
    y = any_params(rng, case, 1)
    x = (rng.integers(-600, 600, (1, 4000)) * .5 * np.float64(y.scale)).astype(f32)
    x[0, ::3] = rng.normal(size=x[0, ::3].size) * 100 * y.scale
    x[0, :4] = [0, -0.0, 1e-40, 1e6 * y.scale]
    return case.finish("QUANTIZE", [case.floats(x)], x.shape, y,
                       lambda rule: formulas.quantize(rule, x, y, case.low))


def convert(source):
    def row(rng, kind):
        case = Case(kind)
        a, y = pair(rng, case, 6)
        other = source if source != "same" else kind
        a.zero += np.iinfo(other).min - case.low
        x = np.arange(256).reshape(1, 256) + np.iinfo(other).min
        return case.finish("QUANTIZE", [case.value(x, a, other)], x.shape, y,
                           lambda rule: formulas.convert(rule, other == kind, x, a, y, case.low))
    return row


def average_pool(rng, kind):
    case = Case(kind)
    p = any_params(rng, case)
    k, l, stride, padding = (int(v) for v in rng.integers((1, 1, 1, 0), (5, 6, 3, 2)))
    if rng.integers(0, 4) == 0:
        k, l, padding = 9, 11, 1
    activation = int(rng.integers(0, 4))
    x = some_codes(rng, case, (2, 9, 11, 37))
    want = formulas.average_pool(x, k, l, stride, padding == 0)
    def limited(rule):
        return np.clip(want, *formulas.bounds(activation, p, case.low, False))
    options = dict(padding=padding, strideH=stride, strideW=stride, filterWidth=l, filterHeight=k,
                   fusedActivationFunction=activation)
    return case.finish("AVERAGE_POOL_2D", [case.value(x, p)], want.shape, p, limited, Pool2DOptions=options)


def max_pool(rng, kind):
    case = Case(kind)
    p = any_params(rng, case)
    k, l, stride, padding = (int(v) for v in rng.integers((1, 1, 1, 0), (5, 6, 3, 2)))
    x = some_codes(rng, case, (2, 9, 11, 5))
    want = formulas.pool(x, k, l, stride, padding == 0, lambda window: window.max((1, 2)))
    options = dict(padding=padding, strideH=stride, strideW=stride, filterWidth=l, filterHeight=k)
    return case.finish("MAX_POOL_2D", [case.value(x, p)], want.shape, p, lambda rule: want, Pool2DOptions=options)


def reduction(operator, shape=None, axes=None):
    def row(rng, kind):
        case = Case(kind)
        a, y = pair(rng, case)
        where = axes or [(1, 2), (3,), (2, 3), (1,), (1, 2, 3), (2,)][rng.integers(0, 6)]
        extents = shape or [(2, 5, 7, 24), (1, 8, 8, 60), (3, 16, 3, 40)][rng.integers(0, 3)]
        count = int(np.prod([extents[i] for i in where]))
        if operator == "REDUCE_MAX":
            y = a
        elif rng.integers(0, 2):  # sums land on ties
            y.scale = f32(a.scale * rng.integers(8, 40) * 2 / rng.integers(1, 40))
            a.scale = np.nextafter(a.scale, f32(rng.integers(0, 2)))
        if operator == "SUM":
            y.scale = f32(y.scale * count * .3)
        keep = bool(rng.integers(0, 2))
        x = some_codes(rng, case, extents)
        if rng.integers(0, 2):
            spot = [1 if i in where else extent for i, extent in enumerate(extents)]
            x = np.clip(x // 6 + rng.integers(case.low, case.low + 256, spot), case.low, case.low + 255)
        def want(rule):
            if operator == "REDUCE_MAX":
                return x.max(where, keepdims=keep)
            return formulas.reduce(operator, rule, x, where, keep, a, y, case.low)
        return case.finish(operator, [case.value(x, a), case.constant(where)], want("xnnpack").shape, y, want,
                           ReducerOptions=dict(keepDims=keep))
    return row


def softmax(operator, widest=60):
    def row(rng, kind):
        case = Case(kind)
        a = any_params(rng, case, 0)
        wide = widest > 100
        if wide:  # the reference kernel aborts where a sum of exponentials reaches 256
            a.scale = max(a.scale, f32(.05))
        x = some_codes(rng, case, (48, int(rng.integers(1, widest))), narrow=False if wide else None)
        options = dict(SoftmaxOptions=dict(beta=1.0)) if operator == "SOFTMAX" else {}
        output = Params(1 / 256, case.low) if operator == "SOFTMAX" else Params(16 / 256, case.low + 255)
        formula = formulas.softmax if operator == "SOFTMAX" else formulas.log_softmax
        return case.finish(operator, [case.value(x, a)], x.shape, output,
                           lambda rule: formula(rule, x, a, case.low), **options)
    return row


def computed_size(case, image, added):
    """Height and width of an image, more by `added`, as operators of the model."""
    shape, extents, size = (case.model.tensor(name, [n], "int32") for name, n in (("shape", 4), ("extents", 2), ("size", 2)))
    case.model.op("SHAPE", [image], [shape], ShapeOptions=dict(outType=litert.schema.TensorType.INT32))
    case.model.op("SLICE", [shape, case.constant([1]), case.constant([2])], [extents])
    case.model.op("ADD", [extents, case.constant(added)], [size], AddOptions={})
    return size


def resize(operator, align, half, runtime=False):
    """runtime: the extents of the image are dynamic, and the size is computed of them."""
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng, case)
        extents = [int(v) for v in rng.integers(1, 14, 2)]
        size = [int(v) for v in rng.integers(1, 24, 2)] if rng.integers(0, 2) else [2 * v for v in extents]
        x = some_codes(rng, case, (2, *extents, 3))
        name = "ResizeBilinearOptions" if operator == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
        formula = formulas.resize_bilinear if operator == "RESIZE_BILINEAR" else formulas.resize_nearest
        image = case.value(x, p, signature=[2, -1, -1, 3] if runtime else None)
        added = np.subtract(size, extents)
        operands = [image, computed_size(case, image, added) if runtime else case.constant(size)]
        return case.finish(operator, operands, (2, *size, 3), p,
                           lambda rule: formula("tflite" if runtime else rule, x, size, align, half, kind == "uint8"),
                           version=3, signature=[2, -1, -1, 3] if runtime else None,
                           **{name: dict(alignCorners=align, halfPixelCenters=half)})
    return row


def concatenation(different):
    def row(rng, kind):
        case = Case(kind)
        parts = [any_params(rng, case) for _ in range(3)]
        y = Params(parts[0].scale * 1.5, parts[1].zero) if different else parts[0]
        parts = parts if different else [y] * 3
        axis = int(rng.integers(0, 4))
        shapes = [[2 + i if d == axis else 8 for d in range(4)] for i in range(3)]
        codes = [some_codes(rng, case, shape) for shape in shapes]
        want = np.concatenate([formulas.join(c, p, y, case.low) for c, p in zip(codes, parts)], axis)
        return case.finish("CONCATENATION", [case.value(c, p) for c, p in zip(codes, parts)], want.shape, y,
                           lambda rule: want, ConcatenationOptions=dict(axis=axis))
    return row


def movement(operator):
    """Operators that move codes."""
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng, case)
        x = some_codes(rng, case, (2, 6, 8, 4))
        value, options, outputs = case.value(x, p), {}, None
        pads = rng.integers(0, 3, (4, 2))
        if operator == "PAD":
            operands, want = [value, case.constant(pads)], np.pad(x, pads, constant_values=p.zero)
        elif operator == "PADV2":
            fill = int(rng.integers(case.low, case.low + 256))
            operands = [value, case.constant(pads), case.constant([fill], kind, p)]
            want = np.pad(x, pads, constant_values=fill)
        elif operator == "SPLIT":
            operands, options = [case.constant(2), value], dict(SplitOptions=dict(numSplits=4))
            outputs = np.split(x, 4, 2)
        elif operator == "SLICE":
            operands, want = [value, case.constant([0, 1, 2, 0]), case.constant([2, 3, 4, 4])], x[:, 1:4, 2:6]
        elif operator == "TRANSPOSE":
            order = rng.permutation(4)
            operands, want = [value, case.constant(order)], x.transpose(order)
        elif operator == "RESHAPE":
            operands, want = [value, case.constant([12, 32])], x.reshape(12, 32)
        elif operator == "GATHER":
            operands, want = [value, case.constant([3, 0, 5])], x[:, [3, 0, 5]]
            options = dict(GatherOptions=dict(axis=1))
        elif operator == "DEPTH_TO_SPACE":
            operands, options = [value], dict(DepthToSpaceOptions=dict(blockSize=2))
            want = x.reshape(2, 6, 8, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(2, 12, 16, 1)
        elif operator == "TILE":
            operands, want = [value, case.constant([1, 2, 1, 3])], np.tile(x, (1, 2, 1, 3))
        if outputs is not None:
            return case.finish(operator, operands, [o.shape for o in outputs], [p] * len(outputs), lambda rule: outputs,
                               **options)
        return case.finish(operator, operands, want.shape, p, lambda rule: want, **options)
    return row


BOTH, INT8, UINT8 = ("int8", "uint8"), ("int8",), ("uint8",)
ROWS = {
    "ADD": (binary("ADD"), BOTH), "SUB": (binary("SUB"), BOTH), "MUL": (binary("MUL"), BOTH),
    "MUL, far scales": (binary("MUL", (0, 14)), BOTH),
    "ADD, broadcast": (broadcast("ADD", False), BOTH), "SUB, broadcast": (broadcast("SUB", False), BOTH),
    "MUL, broadcast": (broadcast("MUL", False), BOTH), "ADD of a constant": (broadcast("ADD", True), BOTH),
    "MUL by a constant": (broadcast("MUL", True), BOTH),
    "SQUARED_DIFFERENCE": (squared_difference, INT8), "PRELU": (prelu, BOTH),
    "MAXIMUM": (extreme("MAXIMUM"), BOTH), "MINIMUM": (extreme("MINIMUM"), BOTH),
    "LOGISTIC": (unary("LOGISTIC", formulas.logistic, fixed(1 / 256, 0)), BOTH),
    "TANH": (unary("TANH", formulas.tanh, fixed(1 / 128, 128)), BOTH),
    "ELU": (unary("ELU", formulas.elu), INT8),
    "RELU": (unary("RELU", formulas.relu(0, None), fraction), BOTH), "RELU6": (unary("RELU6", formulas.relu(0, 6), fraction), BOTH),
    "RELU_N1_TO_1": (unary("RELU_N1_TO_1", formulas.relu(-1, 1), fraction), BOTH),
    "LEAKY_RELU": (leaky_relu, BOTH),
    "HARD_SWISH": (unary("HARD_SWISH", formulas.hard_swish, coarse), BOTH),
    "GELU": (unary("GELU", formulas.gelu(False), GeluOptions=dict(approximate=False)), BOTH),
    "GELU, approximate": (unary("GELU", formulas.gelu(True), GeluOptions=dict(approximate=True)), BOTH),
    "EXP": (unary("EXP", formulas.exp), INT8), "LOG": (unary("LOG", formulas.log, positive), INT8),
    "SQRT": (unary("SQRT", formulas.sqrt, positive, version=2), INT8), "NEG": (unary("NEG", formulas.negative), INT8),
    "ABS": (unary("ABS", formulas.absolute, fraction), INT8), "RSQRT": (unary("RSQRT", formulas.rsqrt, positive), INT8),
    "QUANTIZE of floats": (quantize, BOTH), "QUANTIZE of codes": (convert("same"), BOTH),
    "QUANTIZE of int8": (convert("int8"), UINT8), "QUANTIZE of uint8": (convert("uint8"), INT8),
    "AVERAGE_POOL_2D": (average_pool, BOTH), "MAX_POOL_2D": (max_pool, BOTH),
    "MEAN": (reduction("MEAN"), BOTH), "SUM": (reduction("SUM"), BOTH), "REDUCE_MAX": (reduction("REDUCE_MAX"), BOTH),
    "SOFTMAX": (softmax("SOFTMAX"), BOTH), "SOFTMAX, 1000 wide": (softmax("SOFTMAX", 1000), BOTH),
    "LOG_SOFTMAX": (softmax("LOG_SOFTMAX"), BOTH),
    "RESIZE_BILINEAR": (resize("RESIZE_BILINEAR", False, False), BOTH),
    "RESIZE_BILINEAR, corners": (resize("RESIZE_BILINEAR", True, False), BOTH),
    "RESIZE_BILINEAR, half pixels": (resize("RESIZE_BILINEAR", False, True), BOTH),
    "RESIZE_BILINEAR, size at run time": (resize("RESIZE_BILINEAR", False, False, True), INT8),
    "RESIZE_BILINEAR, half pixels, size at run time": (resize("RESIZE_BILINEAR", False, True, True), INT8),
    "RESIZE_NEAREST_NEIGHBOR": (resize("RESIZE_NEAREST_NEIGHBOR", False, False), BOTH),
    "RESIZE_NEAREST_NEIGHBOR, corners": (resize("RESIZE_NEAREST_NEIGHBOR", True, False), BOTH),
    "RESIZE_NEAREST_NEIGHBOR, half pixels": (resize("RESIZE_NEAREST_NEIGHBOR", False, True), BOTH),
    "CONCATENATION": (concatenation(False), BOTH), "CONCATENATION, other params": (concatenation(True), UINT8),
    **{name: (movement(name), BOTH) for name in ("PAD", "PADV2", "SPLIT", "SLICE", "TRANSPOSE", "RESHAPE", "GATHER",
                                                 "DEPTH_TO_SPACE", "TILE")},
}
# What LiteRT's reference kernels lack, or, for SUM of int8, do not compute.
WITHOUT_REFERENCE = {("ELU", "int8"), ("SUM", "int8")}


def listed(result):
    return result if isinstance(result, list) else [result]


def count(got, want):
    return sum(int((np.asarray(g).astype(i64) != np.asarray(w).astype(i64)).sum()) for g, w in zip(got, listed(want)))


def codes_from_octet(case, program, rule, folder, want):
    """How many differ: all where it gives none."""
    try:
        return count(case.octet(program, rule, folder), want)
    except RuntimeError as error:
        print(error)
        return sum(w.size for w in want)


def measure(rows, description, without_reference=()):
    """The command line of a script of rows, {name: (fn(rng, kind), kinds)}. Returns its exit status."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--octet", default="")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for row, (make, kinds) in rows.items():
            if options.only not in row:
                continue
            for kind in kinds:
                cases = [make(np.random.default_rng(seed), kind) for seed in range(options.seeds)]
                for rule in RULES:
                    if rule == "tflite" and (row, kind) in without_reference:
                        continue
                    values = formula = program = 0
                    for case in cases:
                        got = case.litert(rule)
                        values += sum(g.size for g in got)
                        formula += count(got, case.want(rule))
                        if options.octet:
                            program += codes_from_octet(case, options.octet, rule, folder, got)
                    failed = failed or formula + program > 0
                    octet = f", {program:,} from octet" if options.octet else ""
                    print(f"{'FAIL' if formula + program else 'ok  '} {rule} {kind} {row}: {formula:,} of {values:,} codes "
                          f"differ from the formula{octet}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(measure(ROWS, __doc__, WITHOUT_REFERENCE))
