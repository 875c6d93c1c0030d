#!/usr/bin/env python3
"""The rows of rules tflite and xnnpack in docs/arithmetic.md, measured on LiteRT operator by operator: those that accumulate.

    tests/parity/litert_rows.py [--seeds N] [--octet OCTET]

Each row makes .tflite models of one operator with random weights and scales that put many results on a tie between two
codes, runs them with LiteRT's reference kernels (rule tflite) and as LiteRT runs them by default (rule xnnpack), and counts
the values that differ in any bit from the formula (litert_formulas.py). With --octet it also counts what `octet run` gives
differently from LiteRT; --rule is given where octet knows it. Exits with 1 if anything differs.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

import litert
from litert_formulas import (Factor, asymmetric, bounds, channel_first, convolve, delegate, f32, f64, i64, multiply_add,
                             same_padding, scales_first, spread, symmetric, wrapped)

RULES = {"tflite": "reference", "xnnpack": "xnnpack"}
RANGE = {8: (-128, 127), 16: (-32768, 32767)}


class Case:
    """A model of one operator, what it is fed (codes without the file's offset, or floats), and what each rule gives."""

    def __init__(self, kind="int8"):
        self.model, self.kind, self.offset = litert.Model(), kind, 128 if kind == "uint8" else 0
        self.inputs, self.want, self.quantization = [], {}, []

    def value(self, name, codes, scale, zero=0, kind=None, signature=None):
        self.quantization.append((f32(scale), zero))
        tensor = self.model.tensor(name, codes.shape, kind or self.kind, scale, zero + self.offset, signature=signature)
        self.inputs.append((tensor, (codes + self.offset).astype(kind or self.kind)))
        return tensor

    def floats(self, name, values):
        tensor = self.model.tensor(name, values.shape)
        self.inputs.append((tensor, values))
        return tensor

    def weight(self, codes, scales, zero=0, axis=0):
        kind = "uint8" if self.kind == "uint8" else "int8"
        return self.model.tensor("w", codes.shape, kind, scales, zero + self.offset, axis, codes + self.offset)

    def integers(self, name, values):
        """An input that is not quantized."""
        self.quantization.append(None)
        tensor = self.model.tensor(name, values.shape, "int32")
        self.inputs.append((tensor, values.astype(np.int32)))
        return tensor

    def finish(self, operator, operands, shape, scale=None, zero=0, signature=None, **options):
        if scale is None:
            output = self.model.tensor("y", shape)
        else:
            output = self.model.tensor("y", shape, self.kind, scale, zero + self.offset, signature=signature)
        self.output = (scale, zero)
        version = {"TRANSPOSE_CONV": 3 if len(operands) > 3 else 2, "BATCH_MATMUL": 3}.get(operator, 1)
        self.model.op(operator, operands, [output], version=version, **options)
        self.bytes = self.model.bytes([t for t, _ in self.inputs], [output])
        return self

    def codes(self, scaled, low, high):
        return np.clip(scaled + self.output[1], low, high)

    def litert(self, rule):
        y = litert.run(self.bytes, [v for _, v in self.inputs], RULES[rule])[0]
        return y if self.output[0] is None else y.astype(i64) - self.offset

    def octet(self, program, rule, folder, knows_rule):
        (folder / "m.tflite").write_bytes(self.bytes)
        arguments = [program, "run", folder / "m.tflite", "-o", folder / "y.npy", "--quiet"]
        for i, (_, value) in enumerate(self.inputs):
            if value.dtype != f32 and self.quantization[i] is not None:
                scale, zero = self.quantization[i]
                value = ((value.astype(i64) - self.offset - zero).astype(f32) * scale).astype(f32)
            np.save(folder / f"{i}.npy", value)
            arguments += ["--input", f"{self.model.graph.tensors[self.inputs[i][0]].name}={folder}/{i}.npy"]
        arguments += ["--rule", rule] if knows_rule else []
        done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        y = np.load(folder / "y.npy")
        scale, zero = self.output
        if scale is None:
            return y
        if y.dtype != f32:
            return y.astype(i64) - self.offset
        return np.rint(y / f32(scale)).astype(i64) + zero


def params(rng):
    zero = int(rng.integers(-128, 128))
    return f32(rng.uniform(.005, .05)), zero


def layer_scales(rng, sx, sy, outs, per_channel, large):
    """Weight scales and biases: multiples of 1 / 1024 of the output's, or sums near 2^31."""
    if large:
        sw, bias = 2.0**rng.uniform(-24, -18, outs), rng.integers(-2**30, 2**30, outs)
    else:
        sw, bias = rng.integers(1, 8, outs) / 1024, rng.integers(-20000, 20000, outs)
    sw = (f64(sy) / f64(sx) * sw).astype(f32)
    return (sw, sw) if per_channel else (np.full(outs, sw[0]), sw[:1]), bias


def eight_bits(case, acc, sx, sw, sy, activation, *, fully_connected=False, matrix=False, taken=True, exact=False):
    """What either rule gives for 8-bit codes; taken: by XNNPACK."""
    zero = case.output[1]
    factor = Factor(sx, sw, sy, (case.kind == "uint8" or matrix) and not fully_connected)
    scaled = {"tflite": factor.real_product(wrapped(acc)) if fully_connected else factor.twice_rounded(acc)}
    if taken:
        scaled["xnnpack"] = factor.half_even(acc)
    else:
        rounded_factor = Factor(sx, sw, sy, not exact)
        scaled["xnnpack"] = rounded_factor.twice_rounded(acc) if matrix else rounded_factor.rounded_up(acc)
    for rule, value in scaled.items():
        low, high = bounds(activation, sy, zero + case.offset, -128 + case.offset, 127 + case.offset,
                           rule == "xnnpack" and taken)
        case.want[rule] = case.codes(value, low - case.offset, high - case.offset)
    return case


def convolution(rng, kind="int8", k=3, stride=1, dilation=1, groups=1, ins=8, outs=16, extent=24, batch=1, activation=0,
                per_channel=True, depthwise=False, zero=0, valid=False):
    case = Case(kind)
    (sx, zx), (sy, zy) = params(rng), params(rng)
    if activation:  # 6 / sy and 1 / sy are often a tie, too
        sy = f32(rng.choice([2, 12]) / (2 * rng.integers(20, 60) + 1))
    (sw, stored), bias = layer_scales(rng, sx, sy, outs, per_channel, rng.integers(0, 3) == 0)
    x, w = rng.integers(-128, 128, (batch, extent, extent, ins)), rng.integers(-127, 128, (outs, k, k, ins // groups))
    pads = (0, 0) if valid else same_padding(extent, k, stride, dilation)
    acc = convolve(x - zx, w - zero, stride, dilation, groups, pads) + bias
    options = dict(padding=int(valid), strideH=stride, strideW=stride, dilationHFactor=dilation, dilationWFactor=dilation,
                   fusedActivationFunction=activation)
    operands = [case.value("x", x, sx, zx),
                case.weight(w.transpose(3, 1, 2, 0) if depthwise else w, stored, zero, 3 if depthwise and per_channel else 0),
                case.model.tensor("b", [outs], "int32", f32(sx) * stored, 0, 0, bias)]
    if depthwise:
        case.finish("DEPTHWISE_CONV_2D", operands, acc.shape, sy, zy,
                    DepthwiseConv2DOptions=dict(depthMultiplier=outs // ins, **options))
    else:
        case.finish("CONV_2D", operands, acc.shape, sy, zy, Conv2DOptions=options)
    return eight_bits(case, acc, sx, sw, sy, activation)


def depthwise(rng, **options):
    options = {"ins": 16, "outs": 16, **options}
    return convolution(rng, groups=options["ins"], depthwise=True, **options)


def transposed(rng, kind="int8", k=3, stride=2, extent=12, ins=8, outs=8, activation=0, per_channel=True, zero=0, bias=True,
               runtime=False):
    """runtime: extents are dynamic, and the output's shape is an input."""
    case = Case(kind)
    (sx, zx), (sy, zy) = params(rng), params(rng)
    (sw, stored), b = layer_scales(rng, sx, sy, outs, per_channel, bias and rng.integers(0, 3) == 0)
    x, w = rng.integers(-128, 128, (2, extent, extent, ins)), rng.integers(-127, 128, (outs, k, k, ins))
    acc = spread(x - zx, w - zero, stride) + (b if bias else 0)
    extents = np.array(acc.shape)
    shape = case.integers("shape", extents) if runtime else case.model.tensor("shape", [4], "int32", data=extents)
    value = case.value("x", x, sx, zx, signature=[-1, -1, -1, ins] if runtime else None)
    operands = [shape, case.weight(w, stored, zero), value]
    if bias:
        operands.append(case.model.tensor("b", [outs], "int32", f32(sx) * stored, 0, 0, b))
    case.finish("TRANSPOSE_CONV", operands, acc.shape, sy, zy, [-1, -1, -1, outs] if runtime else None, TransposeConvOptions=dict(
        padding=1, strideH=stride, strideW=stride, fusedActivationFunction=activation))
    return eight_bits(case, acc, sx, sw, sy, activation, taken=not runtime, exact=kind == "int8")


def fully_connected(rng, kind="int8", rows=512, ins=32, outs=48, activation=0, per_channel=True, zero=0, bias=True, rank=2):
    case = Case(kind)
    (sx, zx), (sy, zy) = params(rng), params(rng)
    (sw, stored), b = layer_scales(rng, sx, sy, outs, per_channel, bias and rng.integers(0, 3) == 0)
    x, w = rng.integers(-128, 128, (rows, ins)), rng.integers(-127, 128, (outs, ins))
    acc = (x - zx) @ (w - zero).T + (b if bias else 0)
    if rank == 3:
        x, acc = x.reshape(4, -1, ins), acc.reshape(4, -1, outs)
    operands = [case.value("x", x, sx, zx), case.weight(w, stored, zero),
                case.model.tensor("b", [outs], "int32", f32(sx) * stored, 0, 0, b) if bias else -1]
    case.finish("FULLY_CONNECTED", operands, acc.shape, sy, zy, FullyConnectedOptions=dict(
        fusedActivationFunction=activation, keepNumDims=rank == 3))
    return eight_bits(case, acc, sx, sw, sy, activation, fully_connected=True, taken=kind == "uint8" or zero == 0)


def batch_matmul(rng, zero=True, adj_x=False, adj_y=False, batches=(2, 2)):
    case = Case()
    (sx, zx), (sy, zy) = params(rng), params(rng)
    (sw, stored), _ = layer_scales(rng, sx, sy, 1, False, False)
    zw = int(rng.integers(-128, 128)) if zero else 0
    a, b = rng.integers(-128, 128, (batches[0], 64, 32)), rng.integers(-128, 128, (batches[1], 32, 48))
    acc = (a - zx) @ (b - zw)
    operands = [case.value("a", a.swapaxes(1, 2) if adj_x else a, sx, zx),
                case.value("b", b.swapaxes(1, 2) if adj_y else b, stored[0], zw)]
    case.finish("BATCH_MATMUL", operands, acc.shape, sy, zy, BatchMatMulOptions=dict(adjX=adj_x, adjY=adj_y))
    return eight_bits(case, acc, sx, sw, sy, 0, matrix=True, taken=zw == 0)


# Float activations and int8 weights


def activations(rng, shape, rows):
    """Floats whose codes are often ties, and a few rows of zeros."""
    x = rng.normal(size=shape) * np.exp(rng.normal(size=(shape[0],) + (1,) * (len(shape) - 1)))
    if rng.integers(0, 2):
        x = rng.integers(-300, 300, shape) / rng.integers(1, 40, (shape[0],) + (1,) * (len(shape) - 1))
    x = x.astype(f32)
    if rows:
        x[::7] = 0
    return x


def hybrid_fully_connected(rng, per_channel=True, bias=True, asymmetric_inputs=False):
    case = Case()
    x, w = activations(rng, (257, 33), True), rng.integers(-127, 128, (40, 33))
    sw = rng.uniform(.001, .02, 40 if per_channel else 1).astype(f32)
    b = rng.normal(size=40).astype(f32) if bias else np.zeros(40, f32)
    operands = [case.floats("x", x), case.weight(w, sw), case.model.tensor("b", [40], data=b) if bias else -1]
    case.finish("FULLY_CONNECTED", operands, (257, 40), FullyConnectedOptions=dict(asymmetricQuantizeInputs=asymmetric_inputs))
    for rule, codes, output in (("tflite", asymmetric if asymmetric_inputs else symmetric, scales_first),
                                ("xnnpack", delegate, multiply_add)):
        q, s, z = codes(x)
        case.want[rule] = output((q - z[:, None]) @ w.T, s[:, None], sw, b)
    return case


def hybrid_convolution(rng, k=3, stride=1, dilation=1, groups=1, ins=8, outs=16, extent=14, per_channel=True, depthwise=False):
    case = Case()
    x, w = activations(rng, (3, extent, extent, ins), False), rng.integers(-127, 128, (outs, k, k, ins // groups))
    sw, b = rng.uniform(.001, .02, outs if per_channel else 1).astype(f32), rng.normal(size=outs).astype(f32)
    operands = [case.floats("x", x), case.weight(w.transpose(3, 1, 2, 0) if depthwise else w, sw, 0, 3 if depthwise else 0),
                case.model.tensor("b", [outs], data=b)]
    options = dict(padding=0, strideH=stride, strideW=stride, dilationHFactor=dilation, dilationWFactor=dilation)
    pads = same_padding(extent, k, stride, dilation)
    out = -(-extent // stride)
    if depthwise:
        case.finish("DEPTHWISE_CONV_2D", operands, (3, out, out, outs),
                    DepthwiseConv2DOptions=dict(depthMultiplier=outs // ins, **options))
    else:
        case.finish("CONV_2D", operands, (3, out, out, outs), Conv2DOptions=options)
    forms = {"tflite": (asymmetric, scales_first if depthwise else channel_first, False)}
    if not per_channel:
        forms["tflite"] = (symmetric, scales_first, False)
    forms["xnnpack"] = ((asymmetric, channel_first, False) if depthwise else
                        (delegate, multiply_add, k == 1 and stride == 1 and groups == 1))
    for rule, (codes, output, by_pixel) in forms.items():
        q, s, z = codes(x.reshape(-1, ins) if by_pixel else x.reshape(3, -1))
        acc = convolve((q - z[:, None]).reshape(x.shape), w, stride, dilation, groups, pads)
        s = s.reshape(3, extent, extent, 1) if by_pixel else s.reshape(3, 1, 1, 1)
        case.want[rule] = output(acc, s, sw, b)
    return case


# Codes of 16 bits


def wide_scales(rng, sx, sy, outs, deviation, per_channel):
    step = 9000 / deviation
    sw = rng.integers(1, 8, outs) / 2.0**np.ceil(np.log2(4 / step)) if rng.integers(0, 2) else step * rng.uniform(.3, 2, outs)
    sw = (f64(sy) / f64(sx) * sw).astype(f32)
    return (sw, sw) if per_channel else (np.full(outs, sw[0]), sw[:1])


def wide(case, acc, sx, sw, sy, activation, real=False, rounded=False, default=None):
    low, high = bounds(activation, sy, 0, *RANGE[16], False)
    factor = Factor(sx, sw, sy, rounded)
    for rule in RULES:
        scaled = factor.real_product(acc) if real else factor.reduced(acc)
        if rule == "xnnpack" and default is not None:
            scaled = default
        case.want[rule] = np.clip(scaled, low, high)
    return case


def wide_params(rng):
    return f32(rng.uniform(.0005, .005)), f32(rng.uniform(.0005, .01))


def wide_convolution(rng, k=3, stride=1, dilation=1, groups=1, ins=8, outs=16, extent=20, activation=0, per_channel=True,
                     depthwise=False):
    case = Case("int16")
    sx, sy = wide_params(rng)
    sw, stored = wide_scales(rng, sx, sy, outs, 1.2e6 * np.sqrt(k * k * ins / groups), per_channel)
    bias = rng.integers(-2**22, 2**22, outs)
    x, w = rng.integers(-32768, 32768, (1, extent, extent, ins)), rng.integers(-127, 128, (outs, k, k, ins // groups))
    acc = convolve(x, w, stride, dilation, groups, same_padding(extent, k, stride, dilation)) + bias
    operands = [case.value("x", x, sx), case.weight(w.transpose(3, 1, 2, 0) if depthwise else w, stored, 0, 3 if depthwise else 0),
                case.model.tensor("b", [outs], "int64", f32(sx) * stored, 0, 0, bias)]
    options = dict(padding=0, strideH=stride, strideW=stride, dilationHFactor=dilation, dilationWFactor=dilation,
                   fusedActivationFunction=activation)
    if depthwise:
        case.finish("DEPTHWISE_CONV_2D", operands, acc.shape, sy,
                    DepthwiseConv2DOptions=dict(depthMultiplier=outs // ins, **options))
    else:
        case.finish("CONV_2D", operands, acc.shape, sy, Conv2DOptions=options)
    return wide(case, acc, sx, sw, sy, activation)


def wide_transposed(rng, per_channel=True, bias=True):
    case = Case("int16")
    sx, sy = wide_params(rng)
    sw, stored = wide_scales(rng, sx, sy, 8, 1.2e6 * np.sqrt(18), per_channel)
    x, w = rng.integers(-32768, 32768, (1, 12, 12, 8)), rng.integers(-127, 128, (8, 3, 3, 8))
    b = rng.integers(-2**22, 2**22, 8) if bias else 0
    acc = spread(x, w, 2) + b
    operands = [case.model.tensor("shape", [4], "int32", data=np.array(acc.shape)), case.weight(w, stored), case.value("x", x, sx)]
    if bias:
        operands.append(case.model.tensor("b", [8], "int64", f32(sx) * stored, 0, 0, b))
    case.finish("TRANSPOSE_CONV", operands, acc.shape, sy, TransposeConvOptions=dict(padding=1, strideH=2, strideW=2))
    return wide(case, acc, sx, sw, sy, 0)


def wide_fully_connected(rng, per_channel=True, bias=True, activation=0):
    case = Case("int16")
    sx, sy = wide_params(rng)
    sw, stored = wide_scales(rng, sx, sy, 32, 1.2e6 * np.sqrt(32), per_channel)
    x, w = rng.integers(-32768, 32768, (512, 32)), rng.integers(-127, 128, (32, 32))
    b = rng.integers(-2**22, 2**22, 32) if bias else 0
    acc = x @ w.T + b
    operands = [case.value("x", x, sx), case.weight(w, stored),
                case.model.tensor("b", [32], "int64", f32(sx) * stored, 0, 0, b) if bias else -1]
    case.finish("FULLY_CONNECTED", operands, acc.shape, sy, FullyConnectedOptions=dict(fusedActivationFunction=activation))
    default = None if bias else Factor(sx, sw, sy, not per_channel).rounded_up(acc)
    return wide(case, acc, sx, sw, sy, activation, real=True, default=default)


def wide_matmul(rng, adj_x=False, adj_y=False):
    case = Case("int16")
    sx, sy = wide_params(rng)
    sw, stored = wide_scales(rng, sx, sy, 1, 4e8 * np.sqrt(24), False)
    a, b = rng.integers(-32768, 32768, (2, 64, 24)), rng.integers(-32768, 32768, (2, 24, 80))
    acc = a @ b
    operands = [case.value("a", a.swapaxes(1, 2) if adj_x else a, sx), case.value("b", b.swapaxes(1, 2) if adj_y else b, stored[0])]
    case.finish("BATCH_MATMUL", operands, acc.shape, sy, BatchMatMulOptions=dict(adjX=adj_x, adjY=adj_y))
    return wide(case, acc, sx, sw, sy, 0, rounded=True)


ROWS = [
    (convolution, [{}, {"k": 1}, {"stride": 2}, {"dilation": 2}, {"groups": 2}, {"groups": 8}, {"ins": 3}, {"batch": 3},
                   {"valid": True}, {"per_channel": False}, {"activation": 1}, {"activation": 2}, {"activation": 3},
                   {"kind": "uint8", "per_channel": False, "zero": -9},
                   {"kind": "uint8", "per_channel": False, "zero": -128, "activation": 3},
                   {"kind": "uint8", "per_channel": False, "zero": 9, "groups": 2}]),
    (depthwise, [{}, {"outs": 32}, {"stride": 2}, {"dilation": 2}, {"k": 5}, {"ins": 3, "outs": 3}, {"per_channel": False},
                 {"activation": 3}, {"kind": "uint8", "per_channel": False, "zero": -9},
                 {"kind": "uint8", "per_channel": False, "zero": 9, "activation": 2}]),
    (transposed, [{}, {"k": 2}, {"k": 4, "ins": 3, "outs": 5}, {"stride": 1}, {"stride": 3}, {"per_channel": False}, {"bias": False},
                  {"activation": 1}, {"kind": "uint8", "per_channel": False, "zero": -9}, {"runtime": True},
                  {"runtime": True, "k": 2}, {"runtime": True, "per_channel": False}, {"runtime": True, "activation": 1},
                  {"runtime": True, "kind": "uint8", "per_channel": False, "zero": -9}]),
    (fully_connected, [{}, {"per_channel": False}, {"bias": False}, {"rows": 1, "outs": 512}, {"rank": 3}, {"activation": 1},
                       {"activation": 3, "per_channel": False}, {"zero": 5, "per_channel": False},
                       {"kind": "uint8", "per_channel": False, "zero": -9}]),
    (batch_matmul, [{}, {"zero": False}, {"adj_x": True}, {"adj_y": True}, {"batches": (2, 1), "zero": False}]),
    (hybrid_fully_connected, [{}, {"per_channel": False}, {"bias": False}, {"asymmetric_inputs": True}]),
    (hybrid_convolution, [{}, {"per_channel": False}, {"k": 1}, {"k": 1, "stride": 2}, {"k": 1, "per_channel": False},
                          {"stride": 2}, {"dilation": 2}, {"groups": 2}, {"depthwise": True, "groups": 8, "outs": 8},
                          {"depthwise": True, "groups": 8, "stride": 2}]),
    (wide_convolution, [{}, {"k": 1}, {"stride": 2}, {"dilation": 2}, {"groups": 2}, {"per_channel": False}, {"activation": 3},
                        {"depthwise": True, "groups": 8, "outs": 8}, {"depthwise": True, "groups": 8, "activation": 1}]),
    (wide_transposed, [{}, {"per_channel": False}, {"bias": False}]),
    (wide_fully_connected, [{}, {"per_channel": False}, {"bias": False}, {"bias": False, "per_channel": False}, {"activation": 1}]),
    (wide_matmul, [{}, {"adj_x": True}, {"adj_y": True}]),
]


def knows_rule(octet):
    return octet is not None and "--rule" in subprocess.run([octet, "run", "--help"], capture_output=True, text=True).stdout


def different(got, want):
    return int((np.asarray(got).reshape(want.shape) != want).sum())


def measure(row, variant, options, folder):
    """Values, and for each rule those that differ in the formula and in octet (None: not run)."""
    values, counts = 0, {rule: [0, None] for rule in RULES}
    settable = knows_rule(options.octet)
    for seed in range(options.seeds):
        case = row(np.random.default_rng(seed), **variant)
        for rule, count in counts.items():
            got = case.litert(rule)
            values += got.size if rule == "tflite" else 0
            count[0] += different(got, case.want[rule])
            if options.octet is not None and (settable or rule == "xnnpack"):
                count[1] = (count[1] or 0) + different(case.octet(options.octet, rule, folder, settable), got)
    return values, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--octet", help="also compare this program's results with LiteRT's")
    parser.add_argument("--only", default="", help="rows whose name begins so")
    options = parser.parse_args()
    failed, total = False, 0
    with tempfile.TemporaryDirectory() as name:
        for row, variants in ROWS:
            if not row.__name__.startswith(options.only):
                continue
            for variant in variants:
                values, counts = measure(row, variant, options, pathlib.Path(name))
                bad = any(any(count) for count in counts.values())
                failed, total = failed or bad, total + 2 * values
                text = ", ".join(f"{rule} {count[0]}" + ("" if count[1] is None else f" (octet {count[1]})")
                                 for rule, count in counts.items())
                title = " ".join([row.__name__] + [f"{key}={value}" for key, value in variant.items()])
                print(f"{'FAIL' if bad else 'ok  '} {title}: of {values:,} values differ {text}", flush=True)
    print(f"{total:,} values")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
