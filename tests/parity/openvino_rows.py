#!/usr/bin/env python3
"""The rows of rule openvino in docs/arithmetic.md, measured on OpenVINO's CPU plugin operator by operator.

    tests/parity/openvino_rows.py [--seeds N]

Each row builds small QDQ models with random weights and scales that make many results land on a tie between two codes,
runs them in OpenVINO, and counts the codes that differ from the formula, computed here in numpy apart from octet. Needs
the openvino package; without it the script says so and ends with 0. Exits with 1 if a row differs in any code (the
rows of INEXACT: in more codes than stated there).
"""

import argparse
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

try:
    import openvino
except ImportError:
    openvino = None

f32 = np.float32


def fma(a, b, c):
    """One rounding: the product of two f32 is exact in f64. (Adding rounds twice, which matters at 1 in 2^29.)"""
    return (np.float64(a) * np.float64(b) + np.float64(c)).astype(f32)


def codes(line):
    return np.clip(np.rint(line), 0, 255).astype(np.int64)


def limits(scale, zero):
    return f32(f32(scale) * f32(0 - zero)), f32(f32(scale) * f32(255 - zero))


def line(low, high):
    width = (high - low).astype(f32) if isinstance(low, np.ndarray) else f32(high - low)
    return f32(255) / width, (-low * f32(255)) / width


def in_layer(pair):
    """A line as a convolution applies it: without a shift, through the reciprocal of its reciprocal."""
    ratio, shift = pair
    return (f32(f32(1) / f32(f32(1) / ratio)), shift) if shift == 0 else pair


class Builder:
    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [f"v{self.count}"], f"v{self.count}", **attributes))
        return f"v{self.count}"

    def qdq(self, x, scale, zero):
        scale, zero = self.constant(f32(scale)), self.constant(np.uint8(zero))
        return self.op("DequantizeLinear", [self.op("QuantizeLinear", [x, scale, zero]), scale, zero])

    def weight(self, w, scales, axis=0):
        return self.op("DequantizeLinear", [self.constant(w), self.constant(f32(scales)),
                                            self.constant(np.zeros(len(scales), np.int8))], axis=axis)

    def run(self, output, **inputs):
        """Inputs have a dynamic batch, as exported models do: static shapes let OpenVINO compile other code."""
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *x.shape[1:]]) for n, x in inputs.items()]
        graph = helper.make_graph(self.nodes, "row", infos,
                                  [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)
        return np.array(compiled(list(inputs.values()))[0])

    def read_codes(self, y, channels, scale, zero, **inputs):
        """Codes of y, behind a convolution with a diagonal weight so that y really is stored in 8 bits."""
        w = (np.eye(channels) * 100).reshape(channels, channels, 1, 1).astype(np.int8)
        y = self.op("Conv", [y, self.weight(w, [0.01] * channels), self.constant(np.full(channels, 0.5, f32))])
        real = self.run(y, **inputs).astype(np.float64) - 0.5
        return np.rint(real / (np.float64(scale) * np.float64(f32(0.01)) * 100)).astype(np.int64) + zero


def dequantized(c, scale, zero):
    return (f32(scale) * (c - zero).astype(f32)).astype(f32)


def accumulate(x, zero, w, pad, groups):
    x = np.pad(x - zero, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    outs, ins, k, _ = w.shape
    height, per_group = x.shape[2] - k + 1, outs // groups
    acc = np.zeros((len(x), outs, height, height), np.int64)
    for o in range(groups):
        part, rows = x[:, o * ins:(o + 1) * ins], slice(o * per_group, (o + 1) * per_group)
        for i in range(k):
            for j in range(k):
                acc[:, rows] += np.einsum("nchw,oc->nohw", part[:, :, i:i + height, j:j + height],
                                          w[rows, :, i, j].astype(np.int64))
    return acc


def params(rng, count):
    return [(f32(rng.uniform(.005, .05)), int(rng.integers(1, 255))) for _ in range(count)]


class Layer:
    """A convolution of random codes whose scaled accumulators are often halfway between two codes of (sy, zy)."""

    def __init__(self, rng, x, sx, zx, sy, k=1, groups=1, outs=32, bias=True):
        self.groups, self.k = groups, k
        self.w = rng.integers(-127, 128, (outs, x.shape[1] // groups, k, k)).astype(np.int8)
        acc = accumulate(x, zx, self.w, k // 2, groups)
        shift = 2.0 ** (np.ceil(np.log2(acc.std() / 60)) + 2)
        self.scales = (np.float64(sy) / np.float64(sx) * rng.integers(1, 8, outs) / shift).astype(f32)
        self.scales = np.nextafter(self.scales, f32(rng.integers(0, 2, outs)))
        self.m = (f32(sx) * self.scales).astype(f32)
        self.bias = (np.rint(rng.normal(size=outs) * acc.std() * .3) * self.m).astype(f32) if bias else None
        self.acc = acc.astype(f32)

    def channel(self, v):
        return v.reshape(1, -1, 1, 1)

    def reals(self):
        scaled = (self.acc * self.channel(self.m)).astype(f32)
        return scaled if self.bias is None else (scaled + self.channel(self.bias)).astype(f32)

    def add(self, b, x):
        inputs = [x, b.weight(self.w, self.scales)] + ([] if self.bias is None else [b.constant(self.bias)])
        return b.op("Conv", inputs, pads=[self.k // 2] * 4, group=self.groups)


def convolution(rng, bias=True, relu=False, k=1, groups=1, ins=16):
    (sx, zx), (sy, zy) = params(rng, 2)
    zy = 0 if relu and rng.integers(0, 2) else zy
    x = rng.integers(0, 256, (4, ins, 28, 28))
    layer = Layer(rng, x, sx, zx, sy, k, groups, bias=bias)
    b = Builder()
    y = layer.add(b, b.qdq("x", sx, zx))
    if relu:
        y = b.op("Relu", [y])
    y = b.qdq(y, sy, zy)
    got = b.read_codes(y, 32, sy, zy, x=dequantized(x, sx, zx))
    low, high = limits(sy, zy)
    if bias:
        reals = np.maximum(layer.reals(), 0) if relu else layer.reals()
        want = fma(reals, *in_layer(line(low, high)))
    else:
        ratio, shift = line((low / layer.m).astype(f32), (high / layer.m).astype(f32))
        want = (layer.acc * layer.channel(ratio)).astype(f32) + shift[0]
    return got, np.maximum(codes(want), zy if relu else 0)


def average(rng, kind):
    (sx, zx), (sy, zy) = params(rng, 2)
    size = 7 if rng.integers(0, 2) else 3
    sy = np.nextafter(f32(np.float64(sx) * rng.integers(1, 40) / size**2 * 2), f32(rng.integers(0, 2)))
    reach = int(100 * sy / sx) + 2
    x = np.clip(rng.integers(-8, 8, (256, 32, size, size)) + zx + rng.integers(-reach, reach, (256, 32, 1, 1)), 0, 255)
    b = Builder()
    y = b.qdq("x", sx, zx)
    y = b.op(kind, [y]) if kind == "GlobalAveragePool" else b.op(kind, [y], kernel_shape=[size, size])
    got = b.read_codes(b.qdq(y, sy, zy), 32, sy, zy, x=dequantized(x, sx, zx))
    total, count = x.sum((2, 3), keepdims=True).astype(f32), f32(size * size)
    mean = (total / count if kind == "GlobalAveragePool" else total * (f32(1) / count)).astype(f32)
    low, high = limits(sy, zy)
    ratio, shift = line(f32(low / sx), f32(high / sx))
    return got, codes(fma(mean, ratio, f32(shift + f32(ratio * f32(-zx)))))


def residual(rng, relu=False):
    """Conv -> codes c1; two more convolutions; c1 + the floats of the second."""
    (s0, z0), (s1, z1), (sa, za), (sy, zy) = params(rng, 4)
    z1, zy = (0, 0) if relu else (z1, zy)
    sy = np.nextafter(f32(s1 * rng.integers(8, 32) / 8), f32(rng.integers(0, 2)))
    x = rng.integers(0, 256, (2, 16, 56, 56))
    b = Builder()
    values, code = b.qdq("x", s0, z0), x
    scale, zero, made = s0, z0, []
    for next_scale, next_zero in ((s1, z1), (sa, za), (sy, None)):
        layer = Layer(rng, code, scale, zero, next_scale, k=3, outs=16)
        values = layer.add(b, values)
        if next_zero is None:
            break
        values = b.qdq(values, next_scale, next_zero)
        code = codes(fma(layer.reals(), *in_layer(line(*limits(next_scale, next_zero)))))
        scale, zero = next_scale, next_zero
        made.append((values, code))
    y = b.op("Add", [values, made[0][0]] if rng.integers(0, 2) else [made[0][0], values])
    if relu:
        y = b.op("Relu", [y])
    got = b.read_codes(b.qdq(y, sy, zy), 16, sy, zy, x=dequantized(x, s0, z0))
    moved = ((layer.reals() - f32(f32(z1) * s1)).astype(f32) * f32(f32(1) / s1)).astype(f32)
    total = (moved + made[0][1].astype(f32)).astype(f32)
    low, high = limits(sy, zy)
    return got, np.maximum(codes(fma(total, *in_layer(line(f32(low / s1), f32(high / s1))))), zy if relu else 0)


def two_codes(rng):
    """Two coded operands, moved around since they were quantized: the first is moved to the units of the second."""
    (sy, zy), (sa, za), (sb, zb), (sx, zx) = params(rng, 4)
    sa, sb = (np.nextafter(f32(sy * rng.integers(1, 16) / 16), f32(rng.integers(0, 2))) for _ in range(2))
    x = rng.integers(0, 256, (2, 16, 56, 56))
    b = Builder()
    values, made = b.qdq("x", sx, zx), []
    for scale, zero in ((sa, za), (sb, zb)):
        layer = Layer(rng, x, sx, zx, scale, outs=16)
        pooled = b.op("MaxPool", [b.qdq(layer.add(b, values), scale, zero)], kernel_shape=[2, 1], strides=[1, 1])
        code = codes(fma(layer.reals(), *line(*limits(scale, zero)))).astype(f32)
        made.append((pooled, np.maximum(code[:, :, 1:], code[:, :, :-1])))
    got = b.read_codes(b.qdq(b.op("Add", [made[0][0], made[1][0]]), sy, zy), 16, sy, zy, x=dequantized(x, sx, zx))
    zero = f32(f32(za) + f32(f32(f32(zb) * sb) / sa))
    moved = ((made[0][1] - zero).astype(f32) * f32(sa / sb)).astype(f32)
    low, high = limits(sy, zy)
    return got, codes(fma((moved + made[1][1]).astype(f32), *line(f32(low / sb), f32(high / sb))))


def quantize(rng):
    (s, z), = params(rng, 1)
    x = (rng.integers(-600, 600, (8, 16, 64, 64)) * .5 * np.float64(s)).astype(f32)
    b = Builder()
    return b.read_codes(b.qdq("x", s, z), 16, s, z, x=x), codes(fma(x, *line(*limits(s, z))))


def matrix(rng, bias=True, rank=2):
    (sx, zx), (sy, zy) = params(rng, 2)
    x = rng.integers(0, 256, (8192, 64))
    layer = Layer(rng, x.reshape(8192, 64, 1, 1), sx, zx, sy, outs=48, bias=bias)
    b = Builder()
    w = layer.w[:, :, 0, 0]
    if rank == 2:
        inputs = [b.qdq("x", sx, zx), b.weight(w.copy(), layer.scales)]
        y = b.op("Gemm", inputs + ([b.constant(layer.bias)] if bias else []), transB=1)
    else:
        y = b.op("MatMul", [b.qdq("x", sx, zx), b.weight(w.T.copy(), layer.scales, 1)])
        y = b.op("Add", [y, b.constant(layer.bias)]) if bias else y
    real = b.run(b.qdq(y, sy, zy), x=dequantized(x, sx, zx).reshape((8192, 64) if rank == 2 else (64, 128, 64)))
    got = np.rint(real.reshape(8192, 48).astype(np.float64) / np.float64(sy)).astype(np.int64) + zy
    low, high = limits(sy, zy)
    ratio, shift = line(low, high)
    if rank == 3:
        return got, codes(fma(layer.reals()[:, :, 0, 0], ratio, shift))
    if bias:
        shifts = ((layer.bias * ratio).astype(f32) + shift).astype(f32)
        ratios = (layer.m * ratio).astype(f32)
    else:
        ratios, shifts = line((low / layer.m).astype(f32), (high / layer.m).astype(f32))
    return got, codes((layer.acc[:, :, 0, 0] * ratios).astype(f32) + shifts)


# Rows that are not reproduced in every bit: the share of codes that may differ.
INEXACT = {"Gemm without bias": 1e-4}

ROWS = {
    "QuantizeLinear": quantize,
    "Conv 1x1": convolution,
    "Conv 3x3": lambda rng: convolution(rng, k=3),
    "Conv 3x3 on 3 channels": lambda rng: convolution(rng, k=3, ins=3),
    "Conv, Relu": lambda rng: convolution(rng, relu=True),
    "Conv depthwise": lambda rng: convolution(rng, k=3, groups=32, ins=32),
    "Conv, 4 groups": lambda rng: convolution(rng, k=3, groups=4, ins=32),
    "Conv without bias": lambda rng: convolution(rng, bias=False, k=3),
    "Conv without bias, Relu": lambda rng: convolution(rng, bias=False, relu=True),
    "Gemm": matrix,
    "Gemm without bias": lambda rng: matrix(rng, bias=False),
    "MatMul of rank 3": lambda rng: matrix(rng, rank=3),
    "MatMul of rank 3 without bias": lambda rng: matrix(rng, bias=False, rank=3),
    "GlobalAveragePool": lambda rng: average(rng, "GlobalAveragePool"),
    "AveragePool": lambda rng: average(rng, "AveragePool"),
    "Add, codes + floats": residual,
    "Add, codes + floats, Relu": lambda rng: residual(rng, relu=True),
    "Add, codes + codes": two_codes,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    if openvino is None:
        print("openvino rows: skipped, the package openvino is not installed")
        return
    print(f"OpenVINO {openvino.__version__}")
    failed = False
    for name, row in ROWS.items():
        values = different = largest = 0
        for seed in range(options.seeds):
            got, want = row(np.random.default_rng(seed))
            delta = np.abs(got - want.reshape(got.shape))
            values, different, largest = values + delta.size, different + int((delta > 0).sum()), max(largest, delta.max())
        bad = different > INEXACT.get(name, 0) * values or largest > 1
        failed = failed or bad
        print(f"{'FAIL' if bad else 'ok  '} {name}: {different:,} of {values:,} codes differ, largest {largest}",
              flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
