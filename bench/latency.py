#!/usr/bin/env python3
"""Latency of batch 1, median: float and int8, octet against ONNX Runtime, 1 and 2 threads.

    bench/latency.py OCTET [MODEL...] [--seconds 2]

Both run the int8 model that octet wrote; the four measurements of a row follow one another.
"""

import argparse
import statistics
import tempfile
import time

import common


def ort_ms(path, x, threads, seconds):
    session = common.ort_session(path, threads=threads)
    feed = {session.get_inputs()[0].name: x}
    times, end = [], time.perf_counter() + seconds
    for _ in range(5):
        session.run(None, feed)
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    print(f"{'model':24}{'threads':>8}{'octet f32':>11}{'ORT f32':>11}{'octet int8':>11}{'ORT int8':>11}  ms")
    for model in common.models(options.models):
        x, _ = common.load(model.evaluation, model.recipe, 1)
        with tempfile.TemporaryDirectory() as folder:
            int8 = f"{folder}/int8.onnx"
            octet.quantize(model, int8)
            for threads in (1, 2):
                row = []
                for path in (model.path, int8):
                    result = octet("bench", path, "--threads", threads, "--seconds", options.seconds)
                    row += [result["median_ms"], ort_ms(path, x, threads, options.seconds)]
                print(f"{model.name:24}{threads:8}" + "".join(f"{ms:11.3f}" for ms in row), flush=True)


if __name__ == "__main__":
    main()
