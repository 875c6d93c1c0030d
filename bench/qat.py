#!/usr/bin/env python3
"""Quantization-aware training from float weights: ResNet-20, one row for each width, and MobileNetV1 with one scale a weight.

    bench/qat.py OCTET [--rows w8a8 w4a4 w3a3 w2a2 v1] [--seed 0] [--trial]

ResNet-20: all 20,000 training images, distillation from the float model, first and last layers 8 bits; top-1 on the 5,000
evaluation images. v1: distillation alone on the 200 calibration images; agreement with float on the 300 evaluation images.
Prints that of the integer engine and of the simulation, seconds on the clock and of processor time, and peak memory.
--trial holds 2,000 training images back, and prints top-1 on those: hyper-parameters are chosen by it. The epochs' history is
kept in build/qat.
"""

import argparse

import common

RESNET_OPTIONS = ("--qat --distill self --temperature 2 --weight-decay 1e-4 --crop-padding 4 --flip").split()
V1_OPTIONS = "--qat --distill self --distill-weight 1".split()
ROWS = {
    "w8a8": "--bits-weights 8 --bits-activations 8 --epochs 2 --lr 0.001 --batch-norm folded",
    "w4a4": "--bits-weights 4 --bits-activations 4 --epochs 3 --lr 0.001 --batch-norm folded",
    "w3a3": "--bits-weights 3 --bits-activations 3 --epochs 12 --lr 0.02",
    "v1": "--per-tensor --epochs 3 --lr 0.003 --batch 16",
    "w2a2": "--bits-weights 2 --bits-activations 2 --epochs 30 --lr 0.05 --micro-batch 64",
}


def train(octet, model, row, seed, trial):
    folder = common.ROOT / "build" / "qat"
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{model.name}_{row}_{seed}.onnx"
    held_back = ["--held-back", 2000] if trial else []
    start = common.processor_time()
    made = octet("train", model.path, "-o", output, "--data", model.calibration, "--recipe", model.recipe, "--seed", seed,
                 "--history", output.with_suffix(".jsonl"), *(V1_OPTIONS if row == "v1" else RESNET_OPTIONS), *ROWS[row].split(), *held_back)
    return output, made, common.processor_time() - start


def judge(octet, model, row, output, engine):
    """Share of the evaluation images: right, or of the float model's class."""
    options = ["--data", model.evaluation, "--recipe", model.recipe, "--engine", engine]
    if row != "v1":
        return octet("eval", output, *options)["top1"]
    return octet("eval", output, *options, "--metric", "agreement", "--reference", model.path)["value"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trial", action="store_true")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    judged = ["held back %"] if options.trial else ["integer %", "simulation %"]
    print("| row | " + " | ".join([*judged, "s", "CPU s", "MB"]) + " |\n|---" + "|---" * (len(judged) + 3) + "|")
    for row in options.rows:
        model, = common.models(["mobilenet_v1_075_224" if row == "v1" else "resnet20"])
        output, made, cost = train(octet, model, row, options.seed, options.trial)
        if options.trial:
            top1 = [max(e["held_back_top1"] for e in made["epochs"])]
        else:
            top1 = [judge(octet, model, row, output, engine) for engine in ("integer", "simulate")]
        columns = [f"{100 * t:.2f}" for t in top1] + [f"{made['seconds']:.0f}", f"{cost:.0f}",
                                                     f"{made['peak_rss_bytes'] / 1e6:.0f}"]
        print(f"| {row} | " + " | ".join(columns) + " |", flush=True)


if __name__ == "__main__":
    main()
