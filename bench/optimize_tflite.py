#!/usr/bin/env python3
"""What `--optimize fast` does to the float models of MLPerf Tiny, as .tflite, against `none`.

    bench/optimize_tflite.py OCTET

One draw of 200 calibration samples: keyword spotting (the other 800 judge), ResNet-8 (2,000 evaluation images), visual wake
words (ImageNet images, which have none of its labels: agreement alone) and the autoencoder (made-up spectrograms: SQNR alone).
octet's integer engine.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image

import common
from tflite_accuracy import IMAGENET, TINY, keyword_samples, sqnr
sys.path.insert(0, str(common.ROOT / "tests/parity"))
from tflite_models import spectrogram  # noqa: E402


def keyword_spotting():
    x, y = keyword_samples()
    held = np.zeros(len(x), bool)
    held[np.random.default_rng(0).choice(len(x), 200, replace=False)] = True
    return x[held], x[~held], y[~held]


def cifar(name, count):
    known = common.samples(common.SHARED / f"data/cifar10_{name}.tar.gz")
    picks = sorted(np.random.default_rng(0).choice(len(known), count, replace=False))
    raw = {"color": "RGB", "scale": 1.0}
    return np.concatenate([known[i][0](raw) for i in picks]).transpose(0, 2, 3, 1), np.array([known[i][1] for i in picks])


def small_images(name):
    files = sorted((IMAGENET / name / "images").iterdir())
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize((96, 96)), np.float32) / 255 for f in files])


def sets():
    yield "kws_dscnn_reftwin_float", *keyword_spotting()
    yield "ic_resnet8_float", cifar("train", 200)[0], *cifar("val", 2000)
    yield "vww_mobilenet025_float", small_images("calibration"), small_images("evaluation"), None
    noise = np.random.default_rng(0)
    yield "ad_autoencoder_float", *(spectrogram(n, noise).astype(np.float32) for n in (200, 1000)), None


def cell(name, outputs, reference, labels):
    fidelity = f"{sqnr(reference, outputs):.1f} dB"
    if name.startswith("ad"):
        return fidelity
    known = labels if labels is not None else reference.reshape(len(reference), -1).argmax(1)
    top1, agreement, kl = common.verdict(reference, outputs, known)
    shown = [] if labels is None else [f"{100 * top1:.2f}"]
    return " / ".join([*shown, f"{100 * agreement:.2f}", f"{kl:.4f}"]) + ", " + fidelity


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    octet = common.Octet(parser.parse_args().octet)
    ways = [(granularity, level) for granularity in ("per-channel", "per-tensor") for level in ("none", "fast")]
    print("| | " + " | ".join(" ".join(way) for way in ways) + " |\n|---" + "|---" * len(ways) + "|")
    for name, calibration, x, labels in sets():
        cells = []
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            np.save(out / "c.npy", calibration)
            reference = octet.outputs(TINY / f"{name}.tflite", x, "float")
            for granularity, level in ways:
                octet("quantize", TINY / f"{name}.tflite", "-o", out / "q.tflite", "--data", out / "c.npy", "--optimize",
                      level, f"--{granularity}")
                cells.append(cell(name, octet.outputs(out / "q.tflite", x, "integer"), reference, labels))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
