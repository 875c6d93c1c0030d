"""What docs/arithmetic.md says of rules tflite and xnnpack, in numpy and apart from octet's code: operators on 16-bit codes that
don't accumulate. Zero points are 0."""
import math

import numpy as np

from litert_formulas_elementwise import (divide_away, erff, expf, f32, f64, fixed, half_away, i64, scaled, tanhf, wrapped)

LEAST, MOST = -32768, 32767


def clip(x):
    return np.clip(x, LEAST, MOST).astype(i64)


def bounds(activation, y):
    """Codes that limit a fused activation: NONE, RELU, RELU_N1_TO_1, RELU6."""
    code = lambda real: int(np.clip(half_away(f32(real) / y.scale), LEAST, MOST))
    least, most = {0: (None, None), 1: (0, None), 2: (-1, 1), 3: (0, 6)}[activation]
    return LEAST if least is None else code(least), MOST if most is None else code(most)


def in_one_step(x, factor):
    """Times 2^15 and the factor, rounded once."""
    multiplier, shift = factor[0], factor[1] + 15
    return ((x << shift if shift >= 0 else x >> -shift) * multiplier + 2**30) >> 31


def total(x, z, a, b, y, sign, operand):
    unit = 2 * max(f64(a.scale), f64(b.scale))
    p, q = operand(x, fixed(f64(a.scale) / unit)), operand(z, fixed(f64(b.scale) / unit))
    return scaled(p + sign * q, fixed(unit / (2.0**15 * f64(y.scale))))


def binary(operator, rule, x, z, a, b, y, low=LEAST, high=MOST):
    if operator == "MUL":
        return np.clip(scaled(x * z, fixed(f32(f32(a.scale * b.scale) / y.scale))), low, high)
    sign = -1 if operator == "SUB" else 1
    result = total(x, z, a, b, y, sign, lambda value, factor: scaled(value << 15, factor))
    if rule == "xnnpack" and operator == "ADD" and x.shape == z.shape:
        whole = x.size // 16 * 16  # the rest is computed one by one
        result.ravel()[:whole] = total(x, z, a, b, y, sign, in_one_step).ravel()[:whole]
    return np.clip(result, low, high)


def shifted_sum(operator, x, z, a, b, y, low, high):
    """ADD and SUB of scales that are powers of two, where the operator says so."""
    p, q = (divide_away(v, int(math.log2(y.scale / s.scale))) for v, s in ((x, a), (z, b)))
    return np.clip(p - q if operator == "SUB" else p + q, low, high)


def convert(x, a, y, low=LEAST, high=MOST):
    """QUANTIZE between codes, of which one side has 16 bits."""
    return np.clip(scaled(x - a.zero, fixed(f64(a.scale) / f64(y.scale))) + y.zero, low, high)


def relu(least, most):
    def formula(rule, x, a, y):
        code = lambda real, other: other if real is None else np.clip(half_away(f32(real) / y.scale), LEAST, MOST)
        return np.clip(scaled(x, fixed(f32(a.scale / y.scale))), code(least, LEAST), code(most, MOST))
    return formula


def leaky_relu(alpha, x, a, y):
    above, below = f32(a.scale / y.scale), f32(f32(a.scale * f32(alpha)) / y.scale)
    return clip(np.where(x >= 0, scaled(x, fixed(above)), scaled(x, fixed(below))))


# Where LiteRT's table of the sigmoid has one more than the nearest integer.
ONE_MORE = [4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46, 49, 50, 54,
            62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255]


def sigmoid_table():
    table = half_away(65536 / (1 + np.exp(-np.arange(256) / 24))).astype(i64)
    table[ONE_MORE] += 1
    return table


def table_steps(scale):
    """The factor to steps of the table: an integer and a shift to the right."""
    factor, right = f64(scale) * 3 * 4096, 0
    while factor <= 32767 / 2 and right <= 30:
        factor, right = factor * 2, right + 1
    return int(factor), right


def in_table_steps(x, a):
    factor, right = table_steps(a.scale)
    return wrapped(wrapped(x * factor) + ((1 << right) >> 1)) >> right


def interpolated(steps, bits):
    """The table at steps of 2^bits, times 2^bits; its end where there is none."""
    table, magnitude = sigmoid_table(), np.abs(steps)
    at = np.minimum(magnitude >> bits, 254)
    inner = (table[at] << bits) + (magnitude & ((1 << bits) - 1)) * (table[at + 1] - table[at])
    return magnitude >> bits >= 255, inner


def logistic(rule, x, a, y):
    steps = in_table_steps(x, a)
    beyond, value = interpolated(steps, 9)
    value = np.where(beyond, 0x7FFF << 10, value)
    return np.where(steps >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1) >> 10


def tanh(rule, x, a, y):
    steps = in_table_steps(x, a)
    beyond, value = interpolated(steps, 8)
    value = np.where(beyond, 0xFFFF << 8, value)
    return np.where(steps >= 0, value - (1 << 23) + (1 << 7), -value + (1 << 23) + (1 << 7) - 1) >> 8


def lut(fn, least, most, factor=32768.0, real=f64):
    """513 entries; each is moved to halve the error in the middle behind it."""
    step = real(real(most - least) / real(512))
    begin = lambda i: real(least + real(real(i) * step))
    at = lambda v: real(real(fn(v)) * real(factor))
    rounded = lambda v: real(half_away(v))
    table = []
    for i in range(512):
        here, middle = rounded(at(begin(i))), rounded(at(real(begin(i) + real(step / real(2)))))
        between = rounded(real(real(at(begin(i + 1)) + here) / real(2)))
        table.append(here - rounded(real(real(between - middle) / real(2))))
    table.append(rounded(at(real(most))))
    return np.clip(np.array(table), LEAST, MOST).astype(i64)


def look_up(table, x):
    at = 256 + (x >> 7)
    return table[at] + (((table[at + 1] - table[at]) * (x & 127) + 64) >> 7)


def table(fn):
    """A function in f32 between codes of two scales."""
    def formula(rule, x, a, y):
        ends = [f32(p.scale * f32(code)) for p in (a, y) for code in (LEAST, MOST)]
        with np.errstate(over="ignore", invalid="ignore"):
            return look_up(lut(fn, ends[0], ends[1], f32(f32(65536) / f32(ends[3] - ends[2])), f32), x)
    return formula


def gelu(approximate):
    def fn(v):
        if approximate:
            inner = f32(f32(math.sqrt(2 / math.pi)) * f32(v + f32(f32(f32(f32(0.044715) * v) * v) * v)))
            return f32(f32(.5) * v) * f32(f32(1) + tanhf(inner))
        return f32(f32(.5) * v) * f32(f32(1) + erff(f32(v * f32(math.sqrt(.5)))))
    return fn


def softmax(x, a):
    exponential, reciprocal = lut(math.exp, -10.0, 0.0), lut(lambda v: 1 / (1 + v), 0.0, 1.0)
    factor = fixed(f64(a.scale) / (10.0 / 65535.0))
    difference = scaled(x - x.max(1, keepdims=True), factor)
    e = look_up(exponential, np.clip(difference + 32767, LEAST, MOST))
    total = e.sum(1, keepdims=True)
    zeros = np.array([[32 - int(v).bit_length()] for v in total[:, 0]])
    share = ((total << (zeros - 1)) + (1 << 13)) >> 14
    r = look_up(reciprocal, np.clip(share - (1 << 15) - (1 << 16), LEAST, MOST))
    right = 31 - zeros
    return np.clip((e * r + (1 << (right - 1))) >> right, 0, MOST)


def reduce_mean(x, axes, keep, a, y):
    count = int(np.prod([x.shape[i] for i in axes]))
    multiplier, shift = fixed(f64(a.scale) / f64(y.scale))
    left = min(count.bit_length() - 1, 32, 31 + shift)
    return clip(scaled(x.sum(axes, keepdims=keep), ((multiplier << left) // count, shift - left)))


def resize_bilinear(x, size, align, half):
    def axis(extent, size):
        above, below = (extent - 1, size - 1) if align and size > 1 else (extent, size)
        step = (1024 * above + below // 2) // below
        at = np.arange(size) * step + (step // 2 - 512 if half else 0)
        lower = np.maximum(np.trunc(at / 1024).astype(int), 0)
        return lower, np.minimum(np.trunc((at + 1023) / 1024).astype(int), extent - 1), at - 1024 * lower
    top, bottom, dy = axis(x.shape[1], size[0])
    left, right, dx = axis(x.shape[2], size[1])
    dy, dx = dy[:, None, None], dx[None, :, None]
    corner = lambda rows, columns: x[:, rows][:, :, columns]
    tl, tr, bl, br = (corner(r, c) for r in (top, bottom) for c in (left, right))
    total = tl * (1024 - dy) * (1024 - dx) + bl * dy * (1024 - dx) + tr * (1024 - dy) * dx + br * dy * dx
    return np.trunc((total + np.where(total > 0, 2**19, -2**19)) / 2**20).astype(i64)
