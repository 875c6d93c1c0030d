#!/usr/bin/env python3
"""Weights of 2 to 4 bits, activations of 8: nearest and second-order rounding over three draws of 200 samples.

    bench/low_bits.py OCTET [MODEL...] [--seeds 0 1 2] [--rows PATTERN]

Scales per channel; first, last and depthwise layers have 8 bits. For each row: top-1, agreement with float and mean KL to
float on octet's integer engine, as the mean over the draws and (half the spread); top-1 in ONNX Runtime on the written file;
seconds on the clock, seconds of processor time, and the largest memory of `octet quantize`.
"""

import argparse
import tempfile

import common

ROWS = [
    ("nearest", "--optimize none"),
    ("nearest +bias", "--no-adaround --no-equalize"),
    ("nearest +bias +equalize", "--no-adaround"),
    ("second order", "--no-equalize"),
    ("second order +equalize", ""),
    *[(f"{bits} bits by {scope}", f"--bits-weights {bits} --adaround-scope {scope}")
      for bits in (2, 3, 4) for scope in ("layer", "block")],
]
MODELS = ["resnet20", "resnet56", "mobilenet_v1_075_224"]


def quantize(octet, model, output, options, seed):
    """Seconds on the clock and of processor time, and peak bytes."""
    start = common.processor_time()
    summary = octet.quantize(model, output, "--seed", seed, "--per-channel", "--weights", "int4", *options.split())
    return summary["seconds"], common.processor_time() - start, summary["peak_rss_bytes"]


def spread(values, digits):
    middle, half = sum(values) / len(values), (max(values) - min(values)) / 2
    return f"{middle:.{digits}f} ({half:.{digits}f})"


def measure(octet, model, options, seeds, reference, x, labels):
    ours, theirs, costs = [], [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/int4.onnx"
            costs.append(quantize(octet, model, path, options, seed))
            ours.append(common.verdict(reference, octet.outputs(path, x, "integer"), labels))
            theirs.append(common.verdict(reference, common.ort_outputs(path, x), labels))
    return [spread([100 * v[0] for v in ours], 2), spread([100 * v[1] for v in ours], 2),
            spread([v[2] for v in ours], 4), spread([100 * v[0] for v in theirs], 2),
            spread([c[0] for c in costs], 0), spread([c[1] for c in costs], 0),
            f"{max(c[2] for c in costs) / 1e6:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    header = ["top-1 %", "agree %", "KL", "top-1 % (ORT)", "s", "CPU s", "MB"]
    for model in common.models(options.models or MODELS):
        x, labels = common.load(model.evaluation, model.recipe)
        reference = common.ort_outputs(model.path, x)
        top1 = 100 * (reference.reshape(len(x), -1).argmax(1) == labels).mean()
        print(f"\n{model.name}: float {top1:.2f}, {len(x)} images\n| row | " + " | ".join(header) + " |")
        print("|---" * (len(header) + 1) + "|")
        for name, row in ROWS:
            if options.rows not in name:
                continue
            columns = measure(octet, model, row, options.seeds, reference, x, labels)
            print(f"| {name} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
