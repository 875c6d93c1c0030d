#!/usr/bin/env python3
"""Latency of batch 1: float and int8, octet and ONNX Runtime, on 1 and 2 threads; interleaved.

    bench/latency.py OCTET [MODEL...] [--rounds 16] [--seconds 0.25]

Both run the int8 model that octet wrote. A round measures everything once, in turn; figures are medians over the rounds of
the medians within one. f32 / int8 is octet's gain by integers, int8 / 1 thread the share of one thread's time, within the
same round: median, least, largest. Idle machine only.
"""

import argparse
import statistics
import tempfile
import time

import common


def ort_ms(session, x, seconds):
    feed = {session.get_inputs()[0].name: x}
    ms = common.median_ms(lambda: session.run(None, feed), seconds)
    time.sleep(0.05)  # lets its pool stop spinning
    return ms


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.25)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    columns = ["octet f32", "octet int8", "ORT f32", "ORT int8"]
    print(f"{'model':24}{'threads':>8}" + "".join(f"{c:>12}" for c in columns) + "  ms   f32 / int8          int8 / 1 thread")
    for model in common.models(options.models):
        x, _ = common.load(model.evaluation, model.recipe, 1)
        with tempfile.TemporaryDirectory() as folder:
            int8 = f"{folder}/int8.onnx"
            octet.quantize(model, int8)
            rows = {threads: [] for threads in (1, 2)}
            sessions = {threads: [common.ort_session(path, threads=threads) for path in (model.path, int8)] for threads in rows}
            for _ in range(options.rounds):
                for threads, row in rows.items():
                    ours = [octet("bench", path, "--threads", threads, "--seconds", options.seconds)["median_ms"]
                            for path in (model.path, int8)]
                    row.append(ours + [ort_ms(session, x, options.seconds) for session in sessions[threads]])
            for threads, row in rows.items():
                cells = "".join(f"{statistics.median(values):12.3f}" for values in zip(*row))
                gain, share = [r[0] / r[1] for r in row], [r[1] / one[1] for r, one in zip(row, rows[1])]
                print(f"{model.name:24}{threads:8}{cells}       {spread(gain):19} {spread(share) if threads > 1 else '-'}", flush=True)


if __name__ == "__main__":
    main()
