#!/usr/bin/env python3
"""Accuracy and size of int8 models made by octet and by ONNX Runtime from the same float model and 200 samples.

    bench/accuracy.py OCTET [MODEL...] [--quantize-options '--observer entropy'] [--saturating]

Each toolkit draws its own 200 samples. octet's model is evaluated on octet's integer engine, ONNX Runtime's there;
agreement and KL are against the float model in ONNX Runtime, which computes exactly. --saturating: also as it does by
default, which differs on CPUs without VNNI, and octet's model there.
"""

import argparse
import os
import tempfile

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--quantize-options", default="")
    parser.add_argument("--saturating", action="store_true")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    print(f"{'model':24}{'':14}{'top-1 %':>9}{'agree %':>9}{'KL':>10}{'bytes':>12}")
    for model in common.models(options.models):
        x, labels = common.load(model.evaluation, model.recipe)
        reference = common.ort_outputs(model.path, x)
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = f"{folder}/octet.onnx", f"{folder}/ort.onnx"
            octet.quantize(model, ours, *options.quantize_options.split())
            calibration, _ = common.load(model.calibration, model.recipe, 200)
            common.ort_quantize(model.path, theirs, calibration)
            rows = [("float", reference, model.path),
                    ("ONNX Runtime", common.ort_outputs(theirs, x), theirs),
                    ("octet", octet.outputs(ours, x, "integer"), ours)]
            if options.saturating:
                rows += [("  saturating", common.ort_outputs(theirs, x, exact=False), theirs),
                         ("  octet's", common.ort_outputs(ours, x, exact=False), ours)]
            for who, outputs, path in rows:
                top1, agreement, kl = common.verdict(reference, outputs, labels)
                print(f"{model.name:24}{who:14}{100 * top1:9.2f}{100 * agreement:9.2f}{kl:10.4f}"
                      f"{os.path.getsize(path):12,}", flush=True)


if __name__ == "__main__":
    main()
