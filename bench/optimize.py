#!/usr/bin/env python3
"""What each optimization of `octet quantize` does: an ablation.

    bench/optimize.py OCTET [MODEL...] [--seeds 0 1 2] [--samples 200] [--rows PATTERN]

For each row: top-1, agreement with float and mean KL to float on octet's integer engine, as the mean over the draws and
(half the spread); top-1 and KL in ONNX Runtime on the written file, and the share of images on which both engines have
the same top-1; CPU seconds of `quantize`. A data set of no more than `--samples` images gives one draw: take fewer to see
a spread. Rows without data are drawn once.
"""

import argparse
import resource
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
    ("per-channel best", "--per-channel --optimize best"),
    ("per-channel +equalize", "--per-channel --equalize"),
    ("per-tensor +absorb", "--per-tensor --absorb-bias"),
    ("per-channel +absorb", "--per-channel --absorb-bias"),
    ("per-channel +weight mse", "--per-channel --weight-observer mse"),
    *[(f"{granularity} {observer}", f"--{granularity} --observer {observer}")
      for granularity in ("per-channel", "per-tensor") for observer in ("minmax", "percentile", "entropy", "auto")],
    ("per-tensor data-free", "--per-tensor --data-free"),
    ("  without equalize", "--per-tensor --data-free --no-equalize"),
    ("  without bias", "--per-tensor --data-free --no-bias-correction"),
    ("  with absorb", "--per-tensor --data-free --absorb-bias"),
    ("per-channel data-free", "--per-channel --data-free"),
    ("  per-channel with absorb", "--per-channel --data-free --absorb-bias"),
]


def with_batch_norm(model):
    return "mobilenet_v1" in model.name or model.name.endswith("_bn")


def quantize(octet, model, output, options, samples, seed):
    """User CPU seconds that it took."""
    data = [] if "--data-free" in options else ["--data", model.calibration, "--samples", samples, "--seed", seed]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    octet("quantize", model.path, "-o", output, "--recipe", model.recipe, *data, *options)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def spread(values, digits):
    middle, half = sum(values) / len(values), (max(values) - min(values)) / 2
    return f"{middle:.{digits}f} ({half:.{digits}f})"


def classes(outputs):
    return outputs.reshape(len(outputs), -1).argmax(1)


def measure(octet, model, options, samples, seeds, reference, x, labels):
    ours, theirs, same, seconds = [], [], [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/int8.onnx"
            seconds.append(quantize(octet, model, path, options, samples, seed))
            here, there = octet.outputs(path, x, "integer"), common.ort_outputs(path, x)
            ours.append(common.verdict(reference, here, labels))
            theirs.append(common.verdict(reference, there, labels))
            same.append(100 * (classes(here) == classes(there)).mean())
    columns = [spread([100 * v[0] for v in ours], 2), spread([100 * v[1] for v in ours], 2),
               spread([v[2] for v in ours], 4), spread([100 * v[0] for v in theirs], 2),
               spread([v[2] for v in theirs], 4), f"{min(same):.1f}", f"{sum(seconds) / len(seconds):.1f}"]
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    header = ["top-1 %", "agree %", "KL", "top-1 % (ORT)", "KL (ORT)", "same %", "CPU s"]
    for model in common.models(options.models):
        x, labels = common.load(model.evaluation, model.recipe)
        reference = common.ort_outputs(model.path, x)
        top1 = 100 * (classes(reference) == labels).mean()
        print(f"\n{model.name}: float {top1:.2f}, {len(x)} images\n| row | " + " | ".join(header) + " |")
        print("|---" * (len(header) + 1) + "|")
        for name, row in ROWS:
            if options.rows not in name:
                continue
            data_free = "--data-free" in row
            if data_free and not with_batch_norm(model):
                continue
            seeds = options.seeds[:1] if data_free else options.seeds
            columns = measure(octet, model, row.split(), options.samples, seeds, reference, x, labels)
            print(f"| {name} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
