#!/usr/bin/env python3
"""Quantization-aware training of ResNet-20 from its float weights, one row for each width.

    bench/qat.py OCTET [--rows w8a8 w4a4 w3a3 w2a2] [--seed 0] [--trial]

All 20,000 training images, distillation from the float model, first and last layers 8 bits. Prints top-1 on the 5,000
evaluation images of the integer engine and of the simulation, seconds on the clock and of processor time, and peak memory.
--trial holds 2,000 training images back, and prints top-1 on those: hyper-parameters are chosen by it. The epochs' history is
kept in build/qat.
"""

import argparse

import common

SHARED_OPTIONS = ("--qat --distill self --temperature 2 --weight-decay 1e-4 --crop-padding 4 --flip").split()
ROWS = {
    "w8a8": "--bits-weights 8 --bits-activations 8 --epochs 2 --lr 0.001 --batch-norm folded",
    "w4a4": "--bits-weights 4 --bits-activations 4 --epochs 3 --lr 0.001 --batch-norm folded",
    "w3a3": "--bits-weights 3 --bits-activations 3 --epochs 12 --lr 0.02",
    "w2a2": "--bits-weights 2 --bits-activations 2 --epochs 30 --lr 0.05 --micro-batch 64",
}


def train(octet, model, row, seed, trial):
    folder = common.ROOT / "build" / "qat"
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{model.name}_{row}_{seed}.onnx"
    held_back = ["--held-back", 2000] if trial else []
    start = common.processor_time()
    made = octet("train", model.path, "-o", output, "--data", model.calibration, "--recipe", model.recipe, "--seed", seed,
                 "--history", output.with_suffix(".jsonl"), *SHARED_OPTIONS, *ROWS[row].split(), *held_back)
    return output, made, common.processor_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trial", action="store_true")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    model, = common.models(["resnet20"])
    judged = ["held back %"] if options.trial else ["integer %", "simulation %"]
    print("| row | " + " | ".join([*judged, "s", "CPU s", "MB"]) + " |\n|---" + "|---" * (len(judged) + 3) + "|")
    for row in options.rows:
        output, made, cost = train(octet, model, row, options.seed, options.trial)
        if options.trial:
            top1 = [max(e["held_back_top1"] for e in made["epochs"])]
        else:
            top1 = [octet("eval", output, "--data", model.evaluation, "--recipe", model.recipe, "--engine", engine)["top1"]
                    for engine in ("integer", "simulate")]
        columns = [f"{100 * t:.2f}" for t in top1] + [f"{made['seconds']:.0f}", f"{cost:.0f}",
                                                     f"{made['peak_rss_bytes'] / 1e6:.0f}"]
        print(f"| {row} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
