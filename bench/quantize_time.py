#!/usr/bin/env python3
"""Time and memory to quantize with 200 samples, whole process: octet (MSE observer) against ONNX Runtime (MinMax).

    bench/quantize_time.py OCTET [MODEL...] [--repeats 5]     MODEL: resnet20, mobilenet_v1_075_224, ...

Both read the same folder and recipe; the runs alternate; medians.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--observer", default="mse")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    peer = pathlib.Path(__file__).with_name("ort_quantize.py")
    print(f"{'model':24}{'octet s':>10}{'ORT s':>10}{'ratio':>8}{'octet MB':>10}{'ORT MB':>10}")
    for model in common.models(options.models):
        data = model.calibration
        if data.name.endswith(".tar.gz"):
            data = common.class_folders(data)
        shared = ["--data", data, "--recipe", model.recipe, "--samples", 200]
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.repeats):
                ours.append(common.measured(octet.command(
                    "quantize", model.path, "-o", f"{folder}/octet.onnx", "--observer", options.observer, *shared)))
                theirs.append(common.measured([sys.executable, peer, model.path, f"{folder}/ort.onnx", *shared]))
        a, b = (statistics.median(s for s, _ in runs) for runs in (ours, theirs))
        memory = [max(m for _, m in runs) / 1e6 for runs in (ours, theirs)]
        print(f"{model.name:24}{a:10.3f}{b:10.3f}{a / b:8.3f}{memory[0]:10.0f}{memory[1]:10.0f}", flush=True)


if __name__ == "__main__":
    main()
