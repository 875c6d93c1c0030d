#!/usr/bin/env python3
"""The rows of rules tflite and xnnpack in docs/arithmetic.md for 16-bit codes, measured on LiteRT operator by operator: those that
don't accumulate.

    tests/parity/litert_rows_wide.py [--seeds N] [--octet OCTET] [--only TEXT]

As litert_rows_elementwise.py, whose options, counts and exit status it has. Functions of one code are run on all 65,536.
"""
import sys

import numpy as np

import litert_formulas_wide as formulas
from litert_formulas_elementwise import Params, f32, pool, average_pool, resize_nearest
from litert_rows_elementwise import Case, measure


def any_params(rng, top=-4):
    return Params(np.exp(rng.uniform(-11, top)), 0)


def pair(rng, spread=1.5):
    """Params of an input and an output, often in a ratio of small integers."""
    a = any_params(rng)
    ratio = rng.integers(4, 64) / 16 if rng.integers(0, 3) == 0 else np.exp(rng.uniform(-spread, spread))
    return a, Params(a.scale * f32(ratio), 0)


def some_codes(rng, shape):
    """Codes of the whole range, or of a part of it."""
    codes = rng.integers(-32768, 32768, shape)
    return codes if rng.integers(0, 2) else np.clip(codes // 64 + rng.integers(-32768, 32768), -32768, 32767)


def edge_codes(rng, shape):
    """Codes of the whole range, many of them at its ends or small."""
    codes = rng.integers(-32768, 32768, shape)
    codes = np.where(rng.integers(0, 3, shape) == 0, codes // 256, codes)
    return np.where(rng.integers(0, 16, shape) == 0, np.sign(codes) * 32767 - (codes < 0), codes)


# Rows: fn(rng, kind) -> Case.


def binary_scales(rng, operator):
    a, b, y = (any_params(rng) for _ in range(3))
    if operator == "MUL":
        y.scale = f32(a.scale * b.scale * np.exp(rng.uniform(5, 12)))
        if rng.integers(0, 2):
            y.scale = f32(a.scale * b.scale * rng.integers(800, 40000) / 4)
    else:
        y.scale = f32(max(a.scale, b.scale) * np.exp(rng.uniform(-1, 2)))
        if rng.integers(0, 2):
            a.scale, b.scale = (f32(y.scale * rng.integers(1, 24) / 16) for _ in range(2))
    return a, b, y


OPTIONS = {"ADD": ("AddOptions", dict(potScaleInt16=False)), "SUB": ("SubOptions", dict(potScaleInt16=False)), "MUL": ("MulOptions", {})}


def binary(operator, activated=True):
    def row(rng, kind):
        case = Case(kind)
        a, b, y = binary_scales(rng, operator)
        activation = int(rng.integers(0, 4)) if activated else 0
        x, z = (edge_codes(rng, (1, 255, 257, 1)) for _ in range(2))
        low, high = formulas.bounds(activation, y)
        table, options = OPTIONS[operator]
        return case.finish(operator, [case.value(x, a), case.value(z, b)], x.shape, y,
                           lambda rule: formulas.binary(operator, rule, x, z, a, b, y, low, high), version=3,
                           **{table: dict(fusedActivationFunction=activation, **options)})
    return row


def broadcast(operator, constant):
    def row(rng, kind):
        case = Case(kind)
        a, b, y = binary_scales(rng, operator)
        shapes = [((2, 5, 7, 6), (1, 1, 1, 6)), ((2, 5, 7, 6), (2, 1, 7, 1)), ((1, 5, 1, 6), (3, 1, 4, 6)),
                  ((2, 3, 4), (4,)), ((7, 9), (1, 1))][rng.integers(0, 5)]
        x, z = (some_codes(rng, shape) for shape in shapes)
        if rng.integers(0, 2) and not constant:
            x, z = z, x
        table, options = OPTIONS[operator]
        operands = [case.value(x, a), case.constant(z, kind, b) if constant else case.value(z, b)]
        return case.finish(operator, operands, np.broadcast_shapes(x.shape, z.shape), y,
                           lambda rule: formulas.binary(operator, rule, x, z, a, b, y), version=3, **{table: options})
    return row


def shifted(operator):
    """Of scales that are powers of two, as the operator states by its default."""
    def row(rng, kind):
        case = Case(kind)
        y = Params(2.0**rng.integers(-15, -8), 0)
        a, b = y, Params(y.scale / 2.0**rng.integers(0, 9), 0)
        a, b = (a, b) if rng.integers(0, 2) else (b, a)
        activation = int(rng.integers(0, 4))
        x, z = (edge_codes(rng, (1, 255, 7, 1)) for _ in range(2))
        low, high = formulas.bounds(activation, y)
        table = OPTIONS[operator][0]
        return case.finish(operator, [case.value(x, a), case.value(z, b)], x.shape, y,
                           lambda rule: formulas.shifted_sum(operator, x, z, a, b, y, low, high), version=3,
                           **{table: dict(fusedActivationFunction=activation, potScaleInt16=True)})
    return row


def images(rng, kind):
    """ADD of images: in codes of which each shows whether it is computed in a block."""
    case = Case(kind)
    y = any_params(rng)
    shape, found = (1, 3, 5, 7), ([], [])
    while len(found[0]) < np.prod(shape):
        a, b = (Params(y.scale * f32(rng.integers(1, 24) / 16), 0) for _ in range(2))
        x, z = (rng.integers(-128, 128, (2, 20000)) for _ in range(2))
        different = formulas.binary("ADD", "xnnpack", x, z, a, b, y) != formulas.binary("ADD", "tflite", x, z, a, b, y)
        found = x[different], z[different]
    x, z = (codes[:np.prod(shape)].reshape(shape) for codes in found)
    pooled = case.model.tensor("pooled", shape, kind, a.scale, 0)
    case.model.op("MAX_POOL_2D", [case.value(x, a)], [pooled], version=3,
                  Pool2DOptions=dict(strideH=1, strideW=1, filterWidth=1, filterHeight=1))
    return case.finish("ADD", [pooled, case.value(z, b)], shape, y, lambda rule: formulas.binary("ADD", rule, x, z, a, b, y),
                       version=3, AddOptions=dict(potScaleInt16=False))


def extreme(operator):
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng)
        x, z = some_codes(rng, (2, 5, 7, 6)), some_codes(rng, (2, 5, 7, 6) if rng.integers(0, 2) else (6,))
        fn = np.maximum if operator == "MAXIMUM" else np.minimum
        return case.finish(operator, [case.value(x, p), case.value(z, p)], x.shape, p, lambda rule: fn(x, z), version=4)
    return row


def unary(operator, formula, params=pair, version=1, **options):
    def row(rng, kind):
        case = Case(kind)
        a, y = params(rng)
        x = np.arange(-32768, 32768).reshape(1, 65536)
        return case.finish(operator, [case.value(x, a)], x.shape, y, lambda rule: formula(rule, x, a, y), version=version,
                           **options)
    return row


def unit(rng):
    """Outputs as LiteRT demands them."""
    return any_params(rng, -3), Params(1 / 32768, 0)


def small(rng):
    """Inputs whose exponentials are finite."""
    return Params(np.exp(rng.uniform(-12, -6.5)), 0), any_params(rng)


def leaky_relu(rng, kind):
    alpha = float(f32(rng.choice([.1, .01, .2, .3, 1 / 3, .125, -.25, 1.5, rng.uniform(0, 1)])))
    return unary("LEAKY_RELU", lambda rule, x, a, y: formulas.leaky_relu(alpha, x, a, y), version=2,
                 LeakyReluOptions=dict(alpha=alpha))(rng, kind)


def quantize(rng, kind):
    case = Case(kind)
    y = any_params(rng)
    x = (rng.integers(-70000, 70000, (1, 4000)) * .5 * np.float64(y.scale)).astype(f32)
    def want(rule):
        if rule == "tflite":
            return formulas.clip(formulas.half_away((x / y.scale).astype(f32)))
        return formulas.clip(np.rint((x * f32(f32(1) / y.scale)).astype(f32)))
    return case.finish("QUANTIZE", [case.floats(x)], x.shape, y, want, version=2)


def convert(source):
    """To 16 bits."""
    def row(rng, kind):
        case = Case(kind)
        a, y = pair(rng, 3)
        if source == "int8":
            a = Params(y.scale * f32(np.exp(rng.uniform(0, 6))), rng.integers(-128, 128))
        limits = np.iinfo(source)
        x = np.arange(limits.min, limits.max + 1).reshape(1, -1)
        return case.finish("QUANTIZE", [case.value(x, a, source)], x.shape, y,
                           lambda rule: formulas.convert(x, a, y), version=2)
    return row


def to_bytes(rng, kind):
    case = Case("int8")
    a = any_params(rng)
    y = Params(a.scale * f32(np.exp(rng.uniform(2, 7))), rng.integers(-128, 128))
    x = np.arange(-32768, 32768).reshape(1, -1)
    return case.finish("QUANTIZE", [case.value(x, a, "int16")], x.shape, y,
                       lambda rule: formulas.convert(x, a, y, -128, 127), version=2)


def pooling(operator):
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng)
        k, l, stride, padding = (int(v) for v in rng.integers((1, 1, 1, 0), (5, 6, 3, 2)))
        activation = int(rng.integers(0, 4)) if operator == "AVERAGE_POOL_2D" else 0
        x = some_codes(rng, (2, 9, 11, 5))
        if operator == "AVERAGE_POOL_2D":
            want = np.clip(average_pool(x, k, l, stride, padding == 0), *formulas.bounds(activation, p))
        else:
            want = pool(x, k, l, stride, padding == 0, lambda window: window.max((1, 2)))
        options = dict(padding=padding, strideH=stride, strideW=stride, filterWidth=l, filterHeight=k,
                       fusedActivationFunction=activation)
        return case.finish(operator, [case.value(x, p)], want.shape, p, lambda rule: want, version=3, Pool2DOptions=options)
    return row


def reduction(operator):
    def row(rng, kind):
        case = Case(kind)
        a, y = pair(rng)
        where = [(1, 2), (3,), (2, 3), (1,), (1, 2, 3), (2,), (1, 3)][rng.integers(0, 7)]
        extents = [(2, 5, 7, 24), (1, 8, 8, 60), (3, 16, 3, 40)][rng.integers(0, 3)]
        if operator != "MEAN":
            y = a
        elif rng.integers(0, 2):  # sums land on ties
            y.scale = f32(a.scale * rng.integers(8, 40) * 2 / rng.integers(1, 40))
        keep = bool(rng.integers(0, 2))
        x = some_codes(rng, extents)
        def want(rule):
            if operator == "MEAN":
                return formulas.reduce_mean(x, where, keep, a, y)
            return (x.max if operator == "REDUCE_MAX" else x.min)(where, keepdims=keep)
        return case.finish(operator, [case.value(x, a), case.constant(where)], want("tflite").shape, y, want, version=3,
                           ReducerOptions=dict(keepDims=keep))
    return row


def softmax(rng, kind):
    case = Case(kind)
    a = any_params(rng, -5)
    x = some_codes(rng, (48, int(rng.integers(1, 60 if rng.integers(0, 4) else 1001))))
    return case.finish("SOFTMAX", [case.value(x, a)], x.shape, Params(1 / 32768, 0), lambda rule: formulas.softmax(x, a),
                       version=3, SoftmaxOptions=dict(beta=1.0))


def resize(operator, align, half):
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng)
        extents = [int(v) for v in rng.integers(1, 14, 2)]
        size = [int(v) for v in rng.integers(1, 24, 2)] if rng.integers(0, 2) else [2 * v for v in extents]
        x = some_codes(rng, (2, *extents, 3))
        bilinear = operator == "RESIZE_BILINEAR"
        name = "ResizeBilinearOptions" if bilinear else "ResizeNearestNeighborOptions"
        want = (formulas.resize_bilinear(x, size, align, half) if bilinear else
                resize_nearest("", x, size, align, half, False))
        return case.finish(operator, [case.value(x, p), case.constant(size)], want.shape, p, lambda rule: want, version=4,
                           **{name: dict(alignCorners=align, halfPixelCenters=half)})
    return row


def concatenation(rng, kind):
    case = Case(kind)
    p = any_params(rng)
    axis = int(rng.integers(0, 4))
    codes = [some_codes(rng, [2 + i if d == axis else 8 for d in range(4)]) for i in range(3)]
    want = np.concatenate(codes, axis)
    return case.finish("CONCATENATION", [case.value(c, p) for c in codes], want.shape, p, lambda rule: want, version=3,
                       ConcatenationOptions=dict(axis=axis))


def movement(operator, version=4):
    """Operators that move codes."""
    def row(rng, kind):
        case = Case(kind)
        p = any_params(rng)
        x = some_codes(rng, (2, 6, 8, 4))
        value, options, outputs = case.value(x, p), {}, None
        pads = rng.integers(0, 2 if operator == "MIRROR_PAD" else 3, (4, 2))
        if operator == "PAD":
            operands, want = [value, case.constant(pads)], np.pad(x, pads)
        elif operator == "PADV2":
            fill = int(rng.integers(-32768, 32768))
            operands = [value, case.constant(pads), case.constant([fill], kind, p)]
            want = np.pad(x, pads, constant_values=fill)
        elif operator == "MIRROR_PAD":
            operands, want = [value, case.constant(pads)], np.pad(x, pads, "reflect")
            options = dict(MirrorPadOptions=dict(mode=0))
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
        elif operator == "TILE":
            operands, want = [value, case.constant([1, 2, 1, 3])], np.tile(x, (1, 2, 1, 3))
        if outputs is not None:
            return case.finish(operator, operands, [o.shape for o in outputs], [p] * len(outputs), lambda rule: outputs,
                               version=version, **options)
        return case.finish(operator, operands, want.shape, p, lambda rule: want, version=version, **options)
    return row


WORDS = ("int16",)
ROWS = {
    "ADD": binary("ADD"), "SUB": binary("SUB"), "MUL": binary("MUL"),
    "ADD of images": images, "ADD, powers of two": shifted("ADD"), "SUB, powers of two": shifted("SUB"),
    "ADD, broadcast": broadcast("ADD", False), "SUB, broadcast": broadcast("SUB", False),
    "MUL, broadcast": broadcast("MUL", False), "ADD of a constant": broadcast("ADD", True),
    "MUL by a constant": broadcast("MUL", True),
    "MAXIMUM": extreme("MAXIMUM"), "MINIMUM": extreme("MINIMUM"),
    "LOGISTIC": unary("LOGISTIC", formulas.logistic, unit, 3), "TANH": unary("TANH", formulas.tanh, unit, 3),
    "RELU": unary("RELU", formulas.relu(0, None), version=2), "RELU6": unary("RELU6", formulas.relu(0, 6), version=2),
    "EXP": unary("EXP", formulas.table(formulas.expf), small), "GELU": unary("GELU", formulas.table(formulas.gelu(False)), small,
                                                                             GeluOptions=dict(approximate=False)),
    "GELU, approximate": unary("GELU", formulas.table(formulas.gelu(True)), small, GeluOptions=dict(approximate=True)),
    "LEAKY_RELU": leaky_relu, "SOFTMAX": softmax,
    "QUANTIZE of floats": quantize, "QUANTIZE of int16": convert("int16"), "QUANTIZE of int8": convert("int8"),
    "QUANTIZE to int8": to_bytes,
    "AVERAGE_POOL_2D": pooling("AVERAGE_POOL_2D"), "MAX_POOL_2D": pooling("MAX_POOL_2D"),
    "MEAN": reduction("MEAN"), "REDUCE_MAX": reduction("REDUCE_MAX"), "REDUCE_MIN": reduction("REDUCE_MIN"),
    "RESIZE_BILINEAR": resize("RESIZE_BILINEAR", False, False),
    "RESIZE_BILINEAR, corners": resize("RESIZE_BILINEAR", True, False),
    "RESIZE_BILINEAR, half pixels": resize("RESIZE_BILINEAR", False, True),
    "RESIZE_NEAREST_NEIGHBOR": resize("RESIZE_NEAREST_NEIGHBOR", False, False),
    "RESIZE_NEAREST_NEIGHBOR, corners": resize("RESIZE_NEAREST_NEIGHBOR", True, False),
    "RESIZE_NEAREST_NEIGHBOR, half pixels": resize("RESIZE_NEAREST_NEIGHBOR", False, True),
    "CONCATENATION": concatenation,
    "PAD": movement("PAD", 2), "PADV2": movement("PADV2", 2), "MIRROR_PAD": movement("MIRROR_PAD", 2),
    "SPLIT": movement("SPLIT"), "SLICE": movement("SLICE"), "TRANSPOSE": movement("TRANSPOSE"),
    "RESHAPE": movement("RESHAPE", 1), "GATHER": movement("GATHER"), "TILE": movement("TILE", 2),
}


if __name__ == "__main__":
    sys.exit(measure({name: (make, WORDS) for name, make in ROWS.items()}, __doc__))
