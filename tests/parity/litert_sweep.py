"""Models of one operator whose scales stand in given ratios, for litert_limits.py --sweep."""
import pathlib
import tempfile

import numpy as np

from litert_formulas_elementwise import Params, f32
from litert_rows_elementwise import RULES, Case, all_codes, all_pairs, some_codes

RATIOS, BASES = range(-44, 41), (1e-7, .05, 1e3)
SOFTMAX, LOG_SOFTMAX = Params(1 / 256, -128), Params(16 / 256, 127)


def zero(rng):
    return int(rng.integers(-100, 100))


def layer(operator):
    """ratio: input scale * weight scale / output scale."""
    def make(ratio, base, rng):
        case, outs, version = Case("int8"), 8, 1
        x, most = some_codes(rng, case, (1, 6, 6, 8), False), 3 if ratio > 1 else 127
        shape, extent = (outs, 3, 3, 8), (1, 4, 4, outs)
        options = dict(Conv2DOptions=dict(padding=1, strideH=1, strideW=1))
        if operator == "DEPTHWISE_CONV_2D":
            shape, options = (1, 3, 3, 8), dict(DepthwiseConv2DOptions=dict(padding=1, strideH=1, strideW=1, depthMultiplier=1))
        elif operator == "FULLY_CONNECTED":
            x, shape, extent, options = x.reshape(36, 8), (outs, 8), (36, outs), dict(FullyConnectedOptions={})
        elif operator == "TRANSPOSE_CONV":
            extent, version, options = (1, 8, 8, outs), 3, dict(TransposeConvOptions=dict(padding=1, strideH=1, strideW=1))
        a, scales = Params(base, zero(rng)), np.full(outs, .01, f32)
        weight = case.model.tensor("w", shape, "int8", scales, 0, 3 if "DEPTH" in operator else 0, rng.integers(-most, most + 1, shape))
        bias = case.model.tensor("b", (outs,), "int32", scales * a.scale, 0, 0, rng.integers(-50, 50, outs))
        operands = [case.value(x, a), weight, bias]
        if operator == "TRANSPOSE_CONV":
            operands = [case.constant(extent), weight, operands[0], bias]
        return case.finish(operator, operands, extent, Params(base * .01 / ratio, zero(rng)), None, version=version, **options)
    return make


def matrices(ratio, base, rng):
    case = Case("int8")
    operands = [case.value(some_codes(rng, case, (2, 6, 5), False), Params(base, zero(rng))),
                case.value(some_codes(rng, case, (2, 5, 7), False), Params(.02, 0))]
    return case.finish("BATCH_MATMUL", operands, (2, 6, 7), Params(base * .02 / ratio, zero(rng)), None, version=3,
                       BatchMatMulOptions={})


def pair(operator, other=None):
    """ratio: one operand's scale to the output's, `other` or the same the second's; of MUL the product's."""
    def make(ratio, base, rng):
        case = Case("int8")
        x, y = all_pairs(case)
        a, b, c = base * ratio, base * (other or ratio), base
        if operator == "MUL":
            a, b, c = base, .03, base * .03 / ratio
        operands = [case.value(x, Params(a, zero(rng))), case.value(y, Params(b, zero(rng)))]
        return case.finish(operator, operands, x.shape, Params(c, zero(rng)), None, **{operator.capitalize() + "Options": {}})
    return make


def unary(operator, version=1, **options):
    def make(ratio, base, rng):
        case = Case("int8")
        x = all_codes(case)
        return case.finish(operator, [case.value(x, Params(base, zero(rng)))], x.shape, Params(base / ratio, zero(rng)), None,
                           version=version, **options)
    return make


def prelu(ratio, base, rng):
    case = Case("int8")
    x = np.tile(all_codes(case).ravel(), 16).reshape(1, 16, 16, 16)
    operands = [case.value(x, Params(base, zero(rng))), case.constant(rng.integers(-128, 128, (1, 1, 16)), "int8", Params(.004, 0))]
    return case.finish("PRELU", operands, x.shape, Params(base / ratio, zero(rng)), None)


def mean(ratio, base, rng):
    case = Case("int8")
    x = case.value(some_codes(rng, case, (1, 5, 7, 24), False), Params(base, zero(rng)))
    return case.finish("MEAN", [x, case.constant([1, 2])], (1, 1, 1, 24), Params(base / ratio, zero(rng)), None,
                       ReducerOptions=dict(keepDims=True))


def exponentials(operator, output, **options):
    """ratio: the input's scale."""
    def make(ratio, base, rng):
        case = Case("int8")
        x = some_codes(rng, case, (48, 30), False)
        return case.finish(operator, [case.value(x, Params(ratio, zero(rng)))], x.shape, output, None, **options)
    return make


OPERATORS = {
    **{name: layer(name) for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")},
    "BATCH_MATMUL": matrices, "ADD": pair("ADD"), "ADD, other 1/2": pair("ADD", .5), "ADD, other 2^-20": pair("ADD", 2**-20),
    "SUB": pair("SUB"), "SUB, other 1/2": pair("SUB", .5), "MUL": pair("MUL"),
    **{name: unary(name) for name in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "QUANTIZE", "HARD_SWISH", "ELU")},
    "LEAKY_RELU": unary("LEAKY_RELU", 2, LeakyReluOptions=dict(alpha=.1)), "PRELU": prelu, "MEAN": mean,
    "GELU": unary("GELU", 2, GeluOptions=dict(approximate=False)), "EXP": unary("EXP", 2),
    "SOFTMAX": exponentials("SOFTMAX", SOFTMAX, SoftmaxOptions=dict(beta=1.0)),
    "LOG_SOFTMAX": exponentials("LOG_SOFTMAX", LOG_SOFTMAX),
}


def outcome(case, octet, rule, folder, in_child):
    good, theirs = in_child(lambda: case.litert(rule))
    if not good:
        return theirs
    ours = case.octet(octet, rule, folder)
    different = sum(int((a != b).sum()) for a, b in zip(theirs, ours))
    return f"{different} codes differ" if different else "equal"


def sweep(octet, only, in_child):
    with tempfile.TemporaryDirectory() as name:
        for operator, make in OPERATORS.items():
            if only not in operator:
                continue
            for base in BASES:
                for rule in RULES:
                    runs = []
                    for power in RATIOS:
                        case = make(.999 * 2.**power, base, np.random.default_rng(1000 + power))
                        text = outcome(case, octet, rule, pathlib.Path(name), in_child)
                        if runs and runs[-1][2] == text:
                            runs[-1][1] = power
                        else:
                            runs.append([power, power, text])
                    told = "; ".join(f"2^{a} to 2^{b}: {text}" for a, b, text in runs)
                    print(f"{operator}, rule {rule}, scales near {base:g}: {told}", flush=True)
