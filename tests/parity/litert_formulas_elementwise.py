"""What docs/arithmetic.md says of rules tflite and xnnpack, in numpy and apart from octet's code: operators that don't accumulate.

Codes are the file's: signed for int8, unsigned for uint8; `low` is the lowest of the type.
"""
import ctypes
import math

import numpy as np

f32, f64, i64 = np.float32, np.float64, np.int64
libm = ctypes.CDLL("libm.so.6")


class Params:
    def __init__(self, scale, zero):
        self.scale, self.zero = f32(scale), int(zero)


def c_function(name):
    """The C library's, on f32."""
    function = getattr(libm, name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return lambda x: np.array([function(float(v)) for v in np.ravel(x)], f32).reshape(np.shape(x))


expf, tanhf, erff, logf, expm1f = (c_function(n) for n in ("expf", "tanhf", "erff", "logf", "expm1f"))


def half_away(x):
    x = np.asarray(x, f64)
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def wrapped(x):
    """Modulo 2^32, signed."""
    return ((x + 2**31) % 2**32) - 2**31


def fixed(real):
    """A real factor as an int32 and a power of two."""
    real = float(real)
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(abs(real))
    multiplier = math.floor(fraction * 2**31 + .5)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    return (multiplier if real > 0 else -multiplier), min(shift, 30)


def high(a, b):
    return (np.asarray(a, i64) * i64(b) + 2**30) >> 31


def divide_away(x, right):
    mask = (i64(1) << right) - 1
    return (x >> right) + ((x & mask) > (mask >> 1) + (x < 0))


def scaled(x, factor):
    multiplier, shift = factor
    return divide_away(high(wrapped(np.asarray(x, i64) << max(shift, 0)), multiplier), max(-shift, 0))


def scaled_up(x, factor):
    multiplier, shift = factor
    value, right = high(wrapped(np.asarray(x, i64) << max(shift, 0)), multiplier), max(-shift, 0)
    return (value + ((1 << right) >> 1)) >> right


def clip(x, y, low):
    return np.clip(np.asarray(x) + y.zero, low, low + 255).astype(i64)


def bounds(activation, y, low, delegate):
    """Codes that limit a fused activation: NONE, RELU, RELU_N1_TO_1, RELU6."""
    def code(real):
        if real is None:
            return None
        steps = f32(real) / y.scale
        if delegate:
            return int(np.rint(np.clip(f32(steps + f32(y.zero)), low, low + 255)))
        return int(np.clip(half_away(steps) + y.zero, low, low + 255))
    least, most = {0: (None, None), 1: (0, None), 2: (-1, 1), 3: (0, 6)}[activation]
    least, most = code(least), code(most)
    return low if least is None else least, low + 255 if most is None else most


# Two operands.


def units(x, y, a, b, left):
    unit = 2 * max(f64(a.scale), f64(b.scale))
    return (scaled((x - a.zero) << left, fixed(f64(a.scale) / unit)),
            scaled((y - b.zero) << left, fixed(f64(b.scale) / unit)), unit)


def built_in_sum(x, z, a, b, y, sign):
    p, q, unit = units(x, z, a, b, 20)
    return scaled(p + sign * q, fixed(unit / (2.0**20 * f64(y.scale))))


def delegate_sum(x, z, a, b, y, sign):
    ratios = [f32(a.scale / y.scale), f32(b.scale / y.scale)]
    right = 20 - (math.frexp(float(max(ratios)))[1] - 1)
    p, q = (int(np.rint(f64(r) * 2.0**right)) for r in ratios)
    return ((x - a.zero) * p + (z - b.zero) * sign * q + (1 << (right - 1))) >> right


def product(x, z, a, b, y, delegate):
    factor = f32(f32(a.scale * b.scale) / y.scale)
    if delegate and 2.0**-16 <= factor < 2.0**8:
        return np.rint(((x - a.zero) * (z - b.zero)).astype(f32) * factor).astype(i64)
    return scaled((x - a.zero) * (z - b.zero), fixed(factor))


def binary(operator, rule, x, z, a, b, y, low, high):
    if operator == "MUL":
        result = product(x, z, a, b, y, rule == "xnnpack")
    else:
        formula = delegate_sum if rule == "xnnpack" else built_in_sum
        result = formula(x, z, a, b, y, -1 if operator == "SUB" else 1)
    return np.clip(result + y.zero, low, high)


def squared_difference(x, z, a, b, y, low):
    p, q, unit = units(x, z, a, b, 7)
    return clip(scaled((p - q) ** 2, fixed(unit * unit / (2.0**14 * f64(y.scale)))), y, low)


def prelu(x, z, a, b, y, low):
    x, z = x - a.zero, z - b.zero
    above, below = f32(a.scale / y.scale), f32(f32(a.scale * b.scale) / y.scale)
    return clip(np.where(x >= 0, scaled(x, fixed(above)), scaled(x * z, fixed(below))), y, low)


# One operand.


def dequantized(x, a):
    return (a.scale * (x - a.zero).astype(f32)).astype(f32)


def built_in_table(values, y, low):
    return clip(half_away(np.nan_to_num((values * f32(f32(1) / y.scale)).astype(f32), nan=-1e6, posinf=1e6, neginf=-1e6)),
                y, low)


def delegate_table(values, y, low):
    steps = ((values * f32(f32(1) / y.scale)).astype(f32) + f32(y.zero)).astype(f32)
    return np.rint(np.clip(steps, low, low + 255)).astype(i64)


def table(rule, values, y, low):
    return (delegate_table if rule == "xnnpack" else built_in_table)(values, y, low)


def logistic(rule, x, a, y, low):
    e = expf(-dequantized(x, a))
    values = (1 / (1 + e.astype(f64))).astype(f32) if rule == "xnnpack" else (f32(1) / (f32(1) + e)).astype(f32)
    return table(rule, values, y, low)


def tanh(rule, x, a, y, low):
    return table(rule, tanhf(dequantized(x, a)), y, low)


def elu(rule, x, a, y, low):
    values = dequantized(x, a)
    return table(rule, np.where(values < 0, expm1f(values), values).astype(f32), y, low)


def gelu(approximate):
    def formula(rule, x, a, y, low):
        v = dequantized(x, a)
        if approximate:
            inner = (f32(math.sqrt(2 / math.pi)) * (v + (f32(0.044715) * v * v * v).astype(f32))).astype(f32)
            values = f32(.5) * v * (f32(1) + tanhf(inner))
        else:
            values = f32(.5) * v * (f32(1) + erff((v * f32(math.sqrt(.5))).astype(f32)))
        return built_in_table(values.astype(f32), y, low)
    return formula


def exp(rule, x, a, y, low):
    return built_in_table(expf(dequantized(x, a)), y, low)


def log(rule, x, a, y, low):
    return built_in_table(logf(dequantized(x, a)), y, low)


def relu(least, most):
    def formula(rule, x, a, y, low):
        code = lambda real, other: other if real is None else np.clip(half_away(f32(real) / y.scale) + y.zero, low, low + 255)
        result = scaled(x - a.zero, fixed(f32(a.scale / y.scale))) + y.zero
        return np.clip(result, code(least, low), code(most, low + 255))
    return formula


def absolute(rule, x, a, y, low):
    value = np.abs(x - a.zero)
    return clip(value if a.scale == y.scale else scaled(value, fixed(f32(a.scale / y.scale))), y, low)


def sqrt(rule, x, a, y, low):
    root = np.sqrt(((x - a.zero).astype(f32) * a.scale).astype(f32))
    return clip(np.floor((root * f32(f32(1) / y.scale)).astype(f32)), y, low)


def negative(rule, x, a, y, low):
    return np.where(x == low, low, -x)


def leaky_relu(rule, alpha, x, a, y, low):
    x = x - a.zero
    above = f32(a.scale / y.scale)
    below = f32(above * f32(alpha))
    fits = 2.0**-8 <= above <= 128 and abs(below) >= 2.0**-8 and -127.99609375 <= below <= 128
    if rule == "xnnpack" and fits:
        p, q = (int(np.rint(r * f32(256))) for r in (above, below))
        return clip((np.where(x >= 0, x * p, x * q) + 128) >> 8, y, low)
    slope = f32(f32(a.scale * f32(alpha)) / y.scale)
    return clip(np.where(x >= 0, scaled(x, fixed(above)), scaled(x, fixed(slope))), y, low)


def high16(a, b):
    return np.minimum((np.asarray(a, i64) * b + 2**14) >> 15, 32767)


def upper(multiplier):
    return min((multiplier + 2**15) >> 16, 32767)


def hard_swish(rule, x, a, y, low):
    unit = f32(f32(1 / 128) * a.scale)
    (out, out_shift), (gate, gate_shift) = fixed(f32(unit / y.scale)), fixed(f32(unit / (f32(3) / f32(32768))))
    x = (x - a.zero) * 128
    before = high16(x, upper(out))
    r = np.clip(x << max(gate_shift - 1, 0), -32768, 32767)
    r = high16(r, upper(gate))
    r = np.clip(r << 1, -32768, 32767) if gate_shift > 0 else divide_away(r, -gate_shift)
    result = np.trunc(((r + 2**15) >> 1) * before / 2**15).astype(i64)
    return clip(divide_away(result, -out_shift), y, low)


def inverse_root(value):
    if value <= 1:
        return 2**31 - 1, 0
    right = 11
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    right, value = right - pairs, (value << 2 * pairs) >> 1
    half, x = divide_away(i64(value), 1), i64(2**28)
    for _ in range(5):
        cube = high(high(x, x), x) << 6
        x = (high(2**28 + 2**27, x) - high(half, cube)) << 3
    x = high(x, 1518500250)
    return int(x) << max(-right, 0), -max(right, 0)


def rsqrt(rule, x, a, y, low):
    multiplier, shift = fixed(f32(f32(1) / f32(f32(np.sqrt(a.scale)) * y.scale)))
    result = []
    for value in np.ravel(x) - a.zero:
        m, s = inverse_root(int(value))
        root = scaled(i64(1), (m, s + 20))
        result.append(low + 255 if value == 0 else int(clip(scaled(root, (multiplier, shift - 20)), y, low)))
    return np.array(result).reshape(np.shape(x))


def quantize(rule, x, y, low):
    if rule == "xnnpack":
        return clip(np.rint((x * f32(f32(1) / y.scale)).astype(f32)), y, low)
    return clip(half_away((x / y.scale).astype(f32)), y, low)


def convert(rule, same_type, x, a, y, low):
    ratio, factor = f32(a.scale / y.scale), fixed(f64(a.scale) / f64(y.scale))
    if rule == "tflite":
        return clip(scaled(x - a.zero, factor), y, low)
    if not same_type or not 2.0**-8 <= ratio <= 128:
        return clip(scaled_up(x - a.zero, factor), y, low)
    return clip(((x - a.zero) * int(np.rint(ratio * f32(256))) + 128) >> 8, y, low)


def join(x, a, y, low):
    if (a.scale, a.zero) == (y.scale, y.zero):
        return x
    scale = f32(a.scale * f32(f32(1) / y.scale))
    return clip(half_away(((x.astype(f32) * scale).astype(f32) + f32(f32(-a.zero) * scale)).astype(f32)), y, low)


# Many operands.


def pool(x, k, l, stride, same, fn):
    height, width = x.shape[1:3]
    rows = -(-height // stride) if same else (height - k) // stride + 1
    columns = -(-width // stride) if same else (width - l) // stride + 1
    top = max((rows - 1) * stride + k - height, 0) // 2 if same else 0
    left = max((columns - 1) * stride + l - width, 0) // 2 if same else 0
    result = np.zeros((len(x), rows, columns, x.shape[3]), i64)
    for i in range(rows):
        for j in range(columns):
            y, z = i * stride - top, j * stride - left
            result[:, i, j] = fn(x[:, max(y, 0):y + k, max(z, 0):z + l])
    return result


def average_pool(x, k, l, stride, same):
    def mean(window):
        total, count = window.sum((1, 2)), window.shape[1] * window.shape[2]
        return np.sign(total) * ((np.abs(total) + count // 2) // count)
    return pool(x, k, l, stride, same, mean)


def reduce(operator, rule, x, axes, keep, a, y, low):
    count = int(np.prod([x.shape[i] for i in axes]))
    total = x.sum(axes, keepdims=keep)
    if rule == "xnnpack":
        scale = f32(a.scale / y.scale)
        scale = f32(scale * f32(f32(1) / f32(count))) if operator == "MEAN" else scale
        bias = f32(f32(y.zero) - f32(f32(a.zero * count) * scale))
        return np.rint(np.clip((total.astype(f32) * scale).astype(f32) + bias, low, low + 255)).astype(i64)
    multiplier, shift = fixed(f64(a.scale) / f64(y.scale))
    if operator == "MEAN":
        left = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << left) // count, shift - left
    return clip(scaled(total - a.zero * count, (multiplier, shift)), y, low)


def row_sums(e):
    total = np.zeros(len(e), f32)
    for column in e.T:
        total = (total + column).astype(f32)
    return total


def exponentials(x, a):
    return expf((-a.scale * np.arange(256).astype(f32)).astype(f32))[x.max(1, keepdims=True) - x]


EXPONENTIALS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}


def fixed_exp(x):
    """Of numbers with 5 integer bits, at most 0."""
    quarter = 1 << 24
    near = (x & (quarter - 1)) - quarter
    rest, t = near - x, (near << 5) + (1 << 28)
    t2 = high(t, t)
    tail = divide_away(high(divide_away(high(t2, t2), 2) + high(t2, t), 715827883) + t2, 1)
    result = 1895147668 + high(t + tail, 1895147668)
    for power, factor in EXPONENTIALS.items():
        result = np.where((rest >> (26 + power)) & 1, high(result, factor), result)
    return np.where(x == 0, 2**31 - 1, result)


def reciprocal(x):
    half = (x + 2**31) >> 1
    y = 1515870810 + high(half, -1010580540)
    for _ in range(3):
        y = y + (high(y, (1 << 29) - high(half, y)) << 2)
    return np.minimum(y << 1, 2**31 - 1)


def leading_zeros(x):
    return np.array([32 - int(v).bit_length() for v in np.ravel(x)]).reshape(np.shape(x))


def fixed_differences(x, a):
    """Differences to the largest of each row with 5 integer bits, their exponentials, and which of them count."""
    multiplier, shift = fixed(min(f64(a.scale) * 2**26, 2.0**31 - 1))
    difference = x - x.max(1, keepdims=True)
    value = high(wrapped(difference << shift), multiplier)
    return difference, value, fixed_exp(value), difference >= -math.floor(31 * 2**26 / 2**shift), (multiplier, shift)


def softmax(rule, x, a, low):
    if rule == "xnnpack":
        e = exponentials(x, a)
        inverse = (f32(1) / (row_sums(e) * f32(1 / 256))).astype(f32)
        return np.clip(np.floor(((e * inverse[:, None]).astype(f32) + f32(.5)).astype(f32)) + low, low, low + 255)
    _, _, e, counts, _ = fixed_differences(x, a)
    total = np.where(counts, divide_away(e, 12), 0).sum(1, keepdims=True)
    zeros = leading_zeros(total)
    factor = reciprocal((total << zeros) - 2**31)
    result = divide_away(high_each(factor, e), (12 - zeros) + 31 - 8)
    return np.clip(np.where(counts, result, 0) + low, low, low + 255)


def high_each(a, b):
    return (np.asarray(a, i64) * b + 2**30) >> 31


def fixed_log(x):
    """Of numbers with 12 integer bits, with 5."""
    def half_sum(a, b):
        total = a + b
        return np.where(total >= 0, (total + 1) // 2, -((1 - total) // 2))
    zeros = leading_zeros(x)
    z_a = high(x << (zeros - 1), 1518500250) << 1
    power_a = ((12 - zeros) << 25) + (536870912 >> 6)
    other = leading_zeros(high(x, 1518500250)) - 1
    z_b, power_b = np.minimum(x << other, 2**31 - 1), ((12 - other) << 25) - (536870912 >> 6)
    z, power = np.minimum(z_a, z_b), np.maximum(power_a, power_b)
    p, q = half_sum(z, i64(1805811301)), (z - 1805811301) * 2
    square = high_each(q, q)
    above = high_each(q, z) + high(high_each(q, square), 117049297)
    below = high_each(p, 1057819769 + q + high(square, 127690142)) + high(q, 638450708)
    result = high(power, 1488522236) + high_each(divide_away(above, 6), reciprocal(below))
    return np.clip(result << 1, -2**31, 2**31 - 1)


def log_softmax(rule, x, a, low):
    if rule == "xnnpack" or low == 0:
        e = exponentials(x, a)
        base = ((x.max(1).astype(f32) * a.scale).astype(f32) + logf(row_sums(e))).astype(f32)
        logarithm = ((a.scale * x.astype(f32)).astype(f32) - base[:, None]).astype(f32)
        return np.clip(np.rint(logarithm * f32(16)) + low + 255, low, low + 255)
    difference, value, e, counts, (multiplier, shift) = fixed_differences(x, a)
    total = np.where(counts, divide_away(e, 12), 0).sum(1, keepdims=True)
    logarithm = fixed_log(total)
    reach = scaled(logarithm - 2**31, fixed(2.0**(31 - shift) / multiplier))
    result = divide_away(value - logarithm, 22) + 255
    return np.clip(np.where((difference > reach) & counts, result, 0) + low, low, low + 255)


def positions(extent, size, align, half):
    step = f32(extent - 1) / f32(size - 1) if align and size > 1 else f32(extent) / f32(size)
    at = np.arange(size).astype(f32)
    return ((at + f32(.5)) * step - f32(.5)).astype(f32) if half else (at * step).astype(f32)


def resize_bilinear(rule, x, size, align, half, unsigned):
    def axis(extent, size):
        if rule == "tflite" and not unsigned:
            corners = align and size > 1
            above, below = (extent - 1, size - 1) if corners else (extent, size)
            step = (1024 * above + below // 2) // below
            at = np.arange(size) * step + (step // 2 - 512 if half else 0)
            lower = np.maximum(np.trunc(at / 1024).astype(int), 0)
            return lower, np.minimum(np.trunc((at + 1023) / 1024).astype(int), extent - 1), at - 1024 * lower
        at = positions(extent, size, align, half)
        if rule == "tflite":
            lower = np.maximum(np.floor(at).astype(int), 0)
            return lower, np.minimum(np.ceil(at).astype(int), extent - 1), (at - lower.astype(f32)).astype(f32)
        at = np.clip(at, f32(0), f32(extent - 1))
        lower = at.astype(int)
        weight = np.rint((at - lower.astype(f32)).astype(f32) * f32(2048)).astype(int)
        return lower, np.minimum(lower + 1, extent - 1), weight
    top, bottom, dy = axis(x.shape[1], size[0])
    left, right, dx = axis(x.shape[2], size[1])
    dy, dx = dy[:, None, None], dx[None, :, None]
    corner = lambda rows, columns: x[:, rows][:, :, columns]
    tl, tr, bl, br = (corner(r, c) for r in (top, bottom) for c in (left, right))
    if rule == "xnnpack":
        above, below = (tl << 11) + (tr - tl) * dx, (bl << 11) + (br - bl) * dx
        return ((above << 11) + (below - above) * dy + (1 << 21)) >> 22
    if unsigned:
        one = f32(1)
        tl, tr, bl, br = (v.astype(f32) for v in (tl, tr, bl, br))
        total = tl * (one - dy) * (one - dx) + bl * dy * (one - dx) + tr * (one - dy) * dx + br * dy * dx
        return np.floor(total + f32(.5)).astype(i64)
    total = tl * (1024 - dy) * (1024 - dx) + bl * dy * (1024 - dx) + tr * (1024 - dy) * dx + br * dy * dx
    return np.trunc((total + np.where(total > 0, 2**19, -2**19)) / 2**20).astype(i64)


def resize_nearest(rule, x, size, align, half, unsigned):
    def axis(extent, size):
        step = f32(extent - 1) / f32(size - 1) if align and size > 1 else f32(extent) / f32(size)
        at = ((np.arange(size).astype(f32) + f32(.5 if half else 0)) * step).astype(f32)
        at = half_away(at) if align else np.floor(at)
        return np.clip(at.astype(int), 0, extent - 1)
    return x[:, axis(x.shape[1], size[0])][:, :, axis(x.shape[2], size[1])]
