#!/usr/bin/env python3
"""Latency of the two-layer transformer encoder of the parity tests, batch 1, 128 tokens, median.

    bench/encoder.py OCTET [--tokens 128] [--threads 1] [--seconds 2] [--rounds 3]

Float and dynamic int8, octet against ONNX Runtime: octet runs the dynamic model that it wrote, ONNX Runtime that one and
the one of its own quantize_dynamic. The measurements of a round follow one another; the best of the rounds is printed.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
import onnx

import common

sys.path.insert(0, str(common.ROOT / "tests" / "parity"))
import builders  # noqa: E402
import builders.data  # noqa: E402


def fixed_shape(model, tokens, folder, name):
    """A copy whose inputs are [1, tokens], which octet bench needs to make inputs of that length."""
    path = pathlib.Path(folder) / f"{name}.onnx"
    for value in model.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, (1, tokens)):
            dim.dim_value = size
    onnx.save(model, str(path))
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    ids, mask, _ = builders.data.sentences(1, options.tokens, builders.transformer.VOCABULARY, seed=5)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(mask)}
    with tempfile.TemporaryDirectory() as folder:
        path = fixed_shape(builders.BUILDERS["encoder"]().model, options.tokens, folder, "float")
        ours, theirs = f"{folder}/octet.onnx", f"{folder}/ort.onnx"
        octet("quantize", path, "-o", ours, "--method", "dynamic")
        from onnxruntime.quantization import quantize_dynamic
        quantize_dynamic(str(path), theirs)

        def octet_ms(model):
            return octet("bench", model, "--threads", options.threads, "--seconds", options.seconds)["median_ms"]

        def ort_ms(model):
            session = common.ort_session(str(model), threads=options.threads)
            return common.median_ms(lambda: session.run(None, feeds), options.seconds)

        runs = {"octet float": lambda: octet_ms(path), "octet dynamic int8": lambda: octet_ms(ours),
                "ONNX Runtime float": lambda: ort_ms(path), "ONNX Runtime dynamic int8": lambda: ort_ms(theirs),
                "ONNX Runtime, octet's dynamic int8": lambda: ort_ms(ours)}
        best = {name: run() for name, run in runs.items()}
        for _ in range(options.rounds - 1):
            best = {name: min(best[name], run()) for name, run in runs.items()}
    print(f"{options.tokens} tokens, {options.threads} thread(s), median ms, best of {options.rounds} rounds")
    for name, ms in best.items():
        print(f"  {name:36}{ms:8.3f}")
    ratio = best["octet dynamic int8"] / best["ONNX Runtime dynamic int8"]
    print(f"  octet dynamic / ONNX Runtime dynamic {ratio:.2f}")


if __name__ == "__main__":
    main()
