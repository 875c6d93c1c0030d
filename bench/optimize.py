#!/usr/bin/env python3
"""What each optimization of `octet quantize` does: an ablation over three draws of 200 samples.

    bench/optimize.py OCTET [MODEL...] [--seeds 0 1 2] [--rows PATTERN]

For each row: top-1, agreement with float and mean KL to float on octet's integer engine, as the mean over the draws and
(half the spread), the same for top-1 and KL in ONNX Runtime on the written file, and seconds of the passes that the row
adds. Rows without data are drawn once.
"""

import argparse
import tempfile

import common

PLAIN = "--optimize none"
ROWS = [
    ("per-tensor", f"--per-tensor {PLAIN}"),
    ("per-tensor +bias", "--per-tensor --no-equalize"),
    ("per-tensor +equalize", f"--per-tensor {PLAIN} --equalize"),
    ("per-tensor fast", "--per-tensor"),
    ("per-tensor best", "--per-tensor --optimize best"),
    ("per-channel", f"--per-channel {PLAIN}"),
    ("per-channel fast", "--per-channel"),
    ("per-channel +refine", "--per-channel --refine-bias"),
    ("per-channel +equalize", "--per-channel --equalize"),
    ("per-tensor data-free", "--per-tensor --data-free"),
    ("  without equalize", "--per-tensor --data-free --no-equalize"),
    ("  without bias", "--per-tensor --data-free --no-bias-correction"),
    ("per-channel data-free", "--per-channel --data-free"),
]
PASSES = ("equalize", "correct_bias", "refine_bias")


def with_batch_norm(model):
    return "mobilenet_v1" in model.name or model.name.endswith("_bn")


def quantize(octet, model, output, options, seed):
    if "--data-free" in options:
        return octet("quantize", model.path, "-o", output, "--recipe", model.recipe, *options)
    return octet.quantize(model, output, "--seed", seed, *options)


def spread(values, digits):
    middle, half = sum(values) / len(values), (max(values) - min(values)) / 2
    return f"{middle:.{digits}f} ({half:.{digits}f})"


def measure(octet, model, options, seeds, reference, x, labels):
    ours, theirs, seconds = [], [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/int8.onnx"
            summary = quantize(octet, model, path, options, seed)
            ours.append(common.verdict(reference, octet.outputs(path, x, "integer"), labels))
            theirs.append(common.verdict(reference, common.ort_outputs(path, x), labels))
            seconds.append(sum(p["seconds"] for p in summary["passes"] if p["name"] in PASSES))
    columns = [spread([100 * v[0] for v in ours], 2), spread([100 * v[1] for v in ours], 2),
               spread([v[2] for v in ours], 4), spread([100 * v[0] for v in theirs], 2),
               spread([v[2] for v in theirs], 4), f"{sum(seconds) / len(seconds):.2f}"]
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    header = ["top-1 %", "agree %", "KL", "top-1 % (ORT)", "KL (ORT)", "s"]
    for model in common.models(options.models):
        x, labels = common.load(model.evaluation, model.recipe)
        reference = common.ort_outputs(model.path, x)
        top1 = 100 * (reference.reshape(len(x), -1).argmax(1) == labels).mean()
        print(f"\n{model.name}: float {top1:.2f}, {len(x)} images\n| row | " + " | ".join(header) + " |")
        print("|---" * (len(header) + 1) + "|")
        for name, row in ROWS:
            if options.rows not in name:
                continue
            data_free = "--data-free" in row
            if data_free and not with_batch_norm(model):
                continue
            seeds = options.seeds[:1] if data_free else options.seeds
            columns = measure(octet, model, row.split(), seeds, reference, x, labels)
            print(f"| {name} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
