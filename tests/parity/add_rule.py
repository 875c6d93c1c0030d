#!/usr/bin/env python3
"""How ONNX Runtime's quantized Add rounds on x86 with FMA, shown on every pair of codes for many scales and zero points.

    tests/parity/add_rule.py [--cases 50]

With ra = sa / sc and rb = sb / sc in f32:
  fixed = zc - fma(ra, za, rb * zb)
  c     = saturate(round_half_even(fma(a, ra, fma(b, rb, fixed))))
So the zero point of the output is added before rounding. Exits with 1 if any code differs.
"""

import argparse
import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402


def fma(x, y, z):
    """f32 fused multiply-add: the double product of two f32 is exact."""
    return np.float32(np.float64(x) * np.float64(y) + np.float64(z))


def rule(a, b, scales, zero_points):
    (sa, sb, sc), (za, zb, zc) = scales, map(np.float32, zero_points)
    ra, rb = np.float32(sa / sc), np.float32(sb / sc)
    fixed = np.float32(zc - fma(ra, za, np.float32(rb * zb)))
    real = fma(a.astype(np.float32), ra, fma(b.astype(np.float32), rb, fixed))
    return np.clip(np.rint(real), 0, 255).astype(np.uint8)


def onnx_runtime(a, b, scales, zero_points):
    constants = [helper.make_tensor(f"s{n}", TensorProto.FLOAT, [], [v]) for n, v in zip("abc", scales)]
    constants += [helper.make_tensor(f"z{n}", TensorProto.UINT8, [], [v]) for n, v in zip("abc", zero_points)]
    nodes = [helper.make_node("DequantizeLinear", [n, f"s{n}", f"z{n}"], [f"{n}_real"]) for n in "ab"]
    nodes += [helper.make_node("Add", ["a_real", "b_real"], ["c_real"]),
              helper.make_node("QuantizeLinear", ["c_real", "sc", "zc"], ["c"])]
    inputs = [helper.make_tensor_value_info(n, TensorProto.UINT8, [len(a)]) for n in "ab"]
    output = helper.make_tensor_value_info("c", TensorProto.UINT8, None)
    graph = helper.make_graph(nodes, "add", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return common.ort_session(model.SerializeToString()).run(None, {"a": a, "b": b})[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cases = args.cases
    a, b = (v.ravel().astype(np.uint8) for v in np.meshgrid(np.arange(256), np.arange(256)))
    rng, different = np.random.default_rng(args.seed), 0
    for case in range(cases):
        scales = rng.uniform(0.005, 0.2, 3).astype(np.float32)
        if case % 3 == 0:  # ties are common when the ratios are powers of two
            scales = scales[0] * np.float32([1, 2, 4])
        zero_points = rng.integers(0, 256, 3).tolist()
        different += int((rule(a, b, scales, zero_points) != onnx_runtime(a, b, scales, zero_points)).sum())
    print(f"{different} of {cases * a.size:,} sums differ from the rule")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
