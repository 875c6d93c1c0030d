#!/usr/bin/env python3
"""Latency of int8 .tflite files in octet and in LiteRT (XNNPACK), and what it takes octet to make one.

    bench/tflite_speed.py OCTET [--seconds 2] [--repeats 5]

Latency: batch 1, median, 1 and 2 threads, the MLPerf Tiny references and MobileNetV2 as octet writes it; the two
measurements of a row follow one another. Making: the whole process, MobileNetV2 float .tflite to full integer (200 images)
and to dynamic range; seconds (median, least) and peak memory.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

import common
sys.path.insert(0, str(common.ROOT / "tests/parity"))
import litert  # noqa: E402

MODEL = common.SHARED / "models/imagenet/mobilenet_v2_100_224_float.tflite"
DATA = ["--data", common.SHARED / "data/imagenet_samples/calibration", "--recipe", common.RECIPES / "mobilenet_v2.json",
        "--samples", 200]


def litert_ms(path, threads, seconds):
    runner = litert.interpreter(path, threads=threads)
    source = runner.get_input_details()[0]
    random = np.random.default_rng(0)
    if source["dtype"] == np.float32:
        x = random.uniform(-1, 1, source["shape"]).astype(np.float32)
    else:
        x = random.integers(-128, 128, source["shape"]).astype(source["dtype"])
    runner.set_tensor(source["index"], x)
    for _ in range(5):
        runner.invoke()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        runner.invoke()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def latency(octet, paths, seconds):
    print(f"{'model':32}{'threads':>8}{'octet':>10}{'LiteRT':>10}{'ratio':>8}  ms")
    for path in paths:
        for threads in (1, 2):
            ours = octet("bench", path, "--threads", threads, "--seconds", seconds)["median_ms"]
            theirs = litert_ms(path, threads, seconds)
            print(f"{path.stem:32}{threads:8}{ours:10.4f}{theirs:10.4f}{ours / theirs:8.2f}", flush=True)


def making(octet, folder, repeats):
    print(f"{'MobileNetV2 float .tflite to':32}{'median s':>10}{'least s':>10}{'MB':>8}{'bytes':>12}")
    for name, options in (("full integer, 200 images", DATA), ("dynamic range", [])):
        out = folder / (name.split()[0] + ".tflite")
        runs = [common.measured(octet.command("quantize", MODEL, "-o", out, *options)) for _ in range(repeats)]
        seconds = [s for s, _ in runs]
        print(f"{name:32}{statistics.median(seconds):10.3f}{min(seconds):10.3f}{max(m for _, m in runs) / 1e6:8.0f}"
              f"{out.stat().st_size:12,}", flush=True)
    return folder / "full.tflite"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    with tempfile.TemporaryDirectory() as folder:
        made = making(octet, pathlib.Path(folder), options.repeats)
        latency(octet, [*sorted((common.SHARED / "models/mlperf_tiny").glob("*_int8.tflite")), made], options.seconds)


if __name__ == "__main__":
    main()
