"""What docs/arithmetic.md says of rules tflite and xnnpack, in numpy and apart from octet's code: accumulating operators."""
import numpy as np

f32, f64, i64 = np.float32, np.float64, np.int64


def half_away(x):
    x = np.asarray(x, f64)
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def wrapped(x):
    """Modulo 2^32, signed."""
    return ((x + 2**31) % 2**32) - 2**31


def fused(a, b, c):
    """fma in f32: the product is exact in f64, and the sum is rounded to odd there before it is rounded to f32."""
    a, b, c = (np.ascontiguousarray(v, f64) for v in np.broadcast_arrays(a, b, c))
    product = a * b
    total = product + c
    rest = total - product
    error = (product - (total - rest)) + (c - rest)
    bits = total.view(i64)
    toward = np.where((error > 0) == (total > 0), 1, -1)
    return (bits + np.where((error != 0) & (bits % 2 == 0), toward, 0)).view(f64).astype(f32)


class Factor:
    """(input scale * weight scale) / output scale, by channel."""

    def __init__(self, sx, sw, sy, rounded=False):
        product = (f32(sx) * f32(sw)).astype(f64) if rounded else f64(sx) * np.asarray(sw, f64)
        self.floating = (f32(sx) * f32(sw)).astype(f32) / f32(sy)
        self.real = product / f64(sy)
        fraction, shift = np.frexp(self.real)
        multiplier = np.floor(fraction * 2.0**31 + 0.5).astype(i64)
        carry = multiplier == 2**31
        self.multiplier = np.where(carry, multiplier // 2, multiplier)
        self.shift = (shift + carry).astype(i64)

    def high_product(self, acc):
        left = np.maximum(self.shift, 0)
        return (wrapped(wrapped(acc) << left) * self.multiplier + 2**30) >> 31

    def half_even(self, acc):
        """XNNPACK."""
        return np.rint(wrapped(acc).astype(f32) * self.floating).astype(i64)

    def twice_rounded(self, acc):
        """Reference kernels."""
        value, right = self.high_product(acc), np.maximum(-self.shift, 0)
        mask = (i64(1) << right) - 1
        return (value >> right) + ((value & mask) > (mask >> 1) + (value < 0))

    def rounded_up(self, acc):
        """ruy."""
        value, right = self.high_product(acc), np.maximum(-self.shift, 0)
        return (value + ((i64(1) << right) >> 1)) >> right

    def real_product(self, acc):
        """Reference FULLY_CONNECTED."""
        return half_away(acc * self.real).astype(i64)

    def reduced(self, acc):
        """16-bit codes, 64-bit sums."""
        small = np.where(self.multiplier < 0x7FFF0000, (self.multiplier + 2**15) >> 16, 0x7FFF)
        total = 15 - self.shift
        return (acc * small + (i64(1) << (total - 1))) >> total


def bounds(activation, scale, zero, qmin, qmax, delegate):
    """Codes that limit a fused activation: NONE, RELU, RELU_N1_TO_1, RELU6."""
    def code(real):
        quotient = f32(real) / f32(scale)
        if delegate:
            return int(np.rint(np.clip(f32(quotient + f32(zero)), qmin, qmax)))
        return int(np.clip(half_away(quotient) + zero, qmin, qmax))
    low, high = {0: (None, None), 1: (0, None), 2: (-1, 1), 3: (0, 6)}[activation]
    return qmin if low is None else code(low), qmax if high is None else code(high)


# Dynamic range: codes, scale and zero point of each row of x.


def symmetric(x):
    reach = np.abs(x).max(1)
    safe = np.where(reach > 0, reach, f32(127))
    codes = np.clip(half_away((x * (f32(127) / safe)[:, None]).astype(f32)), -127, 127)
    return codes.astype(i64), np.where(reach > 0, (safe / f32(127)).astype(f32), f32(1)), np.zeros(len(x), i64)


def asymmetric(x):
    low, high = np.minimum(x.min(1), f32(0)), np.maximum(x.max(1), f32(0))
    flat = low == high
    step = np.where(flat, 1.0, (high - low).astype(f32).astype(f64) / 255)
    from_low, from_high = low / step, high / step
    zero = np.where(128 + np.abs(from_low) < 127 + np.abs(from_high), -128 - from_low, 127 - from_high)
    zero = np.where(flat, 0, half_away(np.clip(zero, -128, 127)))
    scale = step.astype(f32)
    codes = half_away((x * (f32(1) / scale)[:, None]).astype(f32)) + zero[:, None]
    return np.clip(codes, -128, 127).astype(i64), scale, zero.astype(i64)


def delegate(x):
    low, high = np.minimum(x.min(1), f32(0)), np.maximum(x.max(1), f32(0))
    width = (high - low).astype(f32)
    factor = np.where(width == 0, f32(1), f32(255) / np.where(width == 0, f32(1), width)).astype(f32)
    a, b = (low * factor).astype(f32), (high * factor).astype(f32)
    error = ((f32(-128) + a).astype(f32) + (f32(127) + b).astype(f32)).astype(f32)
    zero = np.where(error > 0, (f32(-128) - a).astype(f32), (f32(127) - b).astype(f32))
    zero = np.rint(np.clip(zero, -128, 127)).astype(i64)
    codes = np.rint((x * factor[:, None]).astype(f32)).astype(i64) + zero[:, None]
    return np.clip(codes, -128, 127), (f32(1) / factor).astype(f32), zero


def scales_first(acc, s, sw, bias):
    return ((acc.astype(f32) * (s * sw).astype(f32)).astype(f32) + bias).astype(f32)


def channel_first(acc, s, sw, bias):
    return (((acc.astype(f32) * sw).astype(f32) * s).astype(f32) + bias).astype(f32)


def multiply_add(acc, s, sw, bias):
    return fused((acc.astype(f32) * s).astype(f32), sw, bias)


# Sums, channels last.


def same_padding(extent, kernel, stride, dilation):
    total = max((-(-extent // stride) - 1) * stride + (kernel - 1) * dilation + 1 - extent, 0)
    return total // 2, total - total // 2


def convolve(x, w, stride=1, dilation=1, groups=1, pads=(0, 0)):
    """x [N,H,W,C] and w [O,k,k,C/groups] without their zero points."""
    x = np.pad(x, ((0, 0), pads, pads, (0, 0)))
    outs, k, _, ins = w.shape
    extent = (x.shape[1] - (k - 1) * dilation - 1) // stride + 1
    acc, part = np.zeros((len(x), extent, extent, outs), i64), outs // groups
    reach = (extent - 1) * stride + 1
    for g in range(groups):
        for i in range(k):
            for j in range(k):
                window = x[:, i * dilation:i * dilation + reach:stride, j * dilation:j * dilation + reach:stride,
                           g * ins:(g + 1) * ins]
                acc[..., g * part:(g + 1) * part] += window @ w[g * part:(g + 1) * part, i, j].T
    return acc


def spread(x, w, stride):
    """TRANSPOSE_CONV without padding."""
    outs, k, _, _ = w.shape
    reach = (x.shape[1] - 1) * stride + 1
    acc = np.zeros((len(x), reach + k - 1, reach + k - 1, outs), i64)
    for i in range(k):
        for j in range(k):
            acc[:, i:i + reach:stride, j:j + reach:stride] += x @ w[:, i, j].T
    return acc
