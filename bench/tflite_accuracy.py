#!/usr/bin/env python3
"""What octet's .tflite files keep of the float models, beside the files that others made.

    bench/tflite_accuracy.py OCTET

keyword spotting   calibrated on 100 samples, evaluated on the other 900; three draws
image classifier   ResNet-8, 200 calibration images, and 2,000 with --adaround (three draws), the whole CIFAR-10 validation set
autoencoder        SQNR of the output against the float model, int8 and 16x8, beside the reference int8 file
MobileNetV2        full integer and dynamic range: top-1, agreement, KL, bytes
two files          one calibration for target tflite written as .onnx and .tflite: same top-1 in ONNX Runtime and LiteRT
octet's rows are evaluated in LiteRT (XNNPACK), which runs the file that people deploy.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import numpy as np

import common
sys.path.insert(0, str(common.ROOT / "tests/parity"))
import litert  # noqa: E402
from tflite_models import litert_outputs, spectrogram  # noqa: E402

TINY = common.SHARED / "models/mlperf_tiny"
IMAGENET = common.SHARED / "data/imagenet_samples"
RAW = '{"color": "RGB", "scale": 1.0}'


def real_outputs(path, x):
    """LiteRT's outputs as floats for float inputs, whatever the file's input and output are stated in."""
    runner = litert.interpreter(path)
    source, sink = runner.get_input_details()[0], runner.get_output_details()[0]
    if source["dtype"] != np.float32:
        scale, zero_point = source["quantization"]
        limits = np.iinfo(source["dtype"])
        x = np.clip(np.rint(x / np.float32(scale)) + zero_point, limits.min, limits.max).astype(source["dtype"])
    y = litert_outputs(path, x, "xnnpack")
    if y.dtype == np.float32:
        return y
    scale, zero_point = sink["quantization"]
    return (y.astype(np.float32) - zero_point) * np.float32(scale)


def show(name, who, outputs, reference, labels, path):
    top1, agreement, kl = common.verdict(reference, outputs, labels)
    print(f"{name:24}{who:24}{100 * top1:9.2f}{100 * agreement:9.2f}{kl:10.4f}{os.path.getsize(path):12,}", flush=True)


def keyword_samples():
    mfcc = np.load(common.SHARED / "data/kws/kws01_mfcc_int8.npy").astype(np.float32)
    x = ((mfcc - 83) * np.float32(0.5847029089927673)).reshape(-1, 49, 10, 1)
    return x, np.load(common.SHARED / "data/kws/kws01_labels.npy")


def keyword_spotting(octet, folder):
    model = TINY / "kws_dscnn_reftwin_float.tflite"
    x, y = keyword_samples()
    for seed in range(3):
        held = np.zeros(len(x), bool)
        held[np.random.default_rng(seed).choice(len(x), 100, replace=False)] = True
        np.save(folder / "kws.npy", x[held])
        out = folder / "kws.tflite"
        octet("quantize", model, "-o", out, "--data", folder / "kws.npy")
        reference = real_outputs(model, x[~held])
        show("kws, 900 of draw %d" % seed, "float", reference, reference, y[~held], model)
        show("", "octet int8", real_outputs(out, x[~held]), reference, y[~held], out)
        theirs = TINY / "kws_dscnn_int8.tflite"
        show("", "reference int8", real_outputs(theirs, x[~held]), reference, y[~held], theirs)


def image_classifier(octet, folder):
    model, theirs, out = TINY / "ic_resnet8_float.tflite", TINY / "ic_resnet8_int8.tflite", folder / "ic.tflite"
    (folder / "raw.json").write_text(RAW)
    x, y = common.load(common.SHARED / "data/cifar10_val.tar.gz", folder / "raw.json")
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    reference = real_outputs(model, x)
    show("ic, 5,000", "float", reference, reference, y, model)
    rows = [("200 images", ["--samples", 200])]
    rows += [(f"2,000, rounding learned, draw {seed}", ["--samples", 2000, "--adaround", "--seed", seed]) for seed in range(3)]
    for name, options in rows:
        octet("quantize", model, "-o", out, "--data", common.SHARED / "data/cifar10_train.tar.gz", "--recipe",
              folder / "raw.json", *options)
        show("", f"octet int8, {name}", real_outputs(out, x), reference, y, out)
    show("", "reference int8", real_outputs(theirs, x), reference, y, theirs)


def sqnr(reference, outputs):
    reference, outputs = reference.astype(np.float64), outputs.astype(np.float64)
    return 10 * np.log10((reference ** 2).sum() / ((reference - outputs) ** 2).sum())


def autoencoder(octet, folder):
    model, theirs = TINY / "ad_autoencoder_float.tflite", TINY / "ad_autoencoder_int8.tflite"
    random = np.random.default_rng(0)
    np.save(folder / "ad.npy", spectrogram(200, random).astype(np.float32))
    x = spectrogram(1000, random).astype(np.float32)
    reference = real_outputs(model, x)
    rows = [("reference int8", theirs)]
    for who, options in (("octet int8", []), ("octet 16x8", ["--activations", "int16"])):
        out = folder / f"{who.replace(' ', '_')}.tflite"
        octet("quantize", model, "-o", out, "--data", folder / "ad.npy", *options)
        rows.append((who, out))
    for who, path in rows:
        print(f"{'autoencoder, 1,000':24}{who:24}{sqnr(reference, real_outputs(path, x)):9.2f} dB{'':16}{os.path.getsize(path):12,}",
              flush=True)


def mobilenet(octet, folder):
    model = common.SHARED / "models/imagenet/mobilenet_v2_100_224_float.tflite"
    recipe = common.RECIPES / "mobilenet_v2.json"
    x, y = common.load(IMAGENET / "evaluation", recipe)
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    reference = real_outputs(model, x)
    show("mobilenet_v2, 300", "float", reference, reference, y, model)
    full, dynamic = folder / "full.tflite", folder / "dynamic.tflite"
    octet("quantize", model, "-o", full, "--data", IMAGENET / "calibration", "--recipe", recipe, "--samples", "200")
    octet("quantize", model, "-o", dynamic)
    show("", "octet int8", real_outputs(full, x), reference, y, full)
    show("", "octet dynamic range", real_outputs(dynamic, x), reference, y, dynamic)


def two_files(octet, folder):
    for model in common.models(["resnet20", "mobilenet_v2_100_224"]):
        statistics, written = folder / "stats", {s: folder / f"{model.name}.{s}" for s in ("onnx", "tflite")}
        octet("calibrate", model.path, "--target", "tflite", *model.data_options, "-o", statistics)
        for path in written.values():
            octet("quantize", model.path, "-o", path, "--target", "tflite", "--stats", statistics)
        x, labels = common.load(model.evaluation, model.recipe, 1000)
        reference = common.ort_outputs(model.path, x)
        a, b = common.ort_outputs(written["onnx"], x), real_outputs(written["tflite"], x)
        for who, outputs, path in (("ONNX Runtime", a, written["onnx"]), ("LiteRT", b, written["tflite"])):
            show(model.name, "target tflite, " + who, outputs, reference, labels, path)
        print(f"{model.name:24}same class in both: {100 * (a.argmax(1) == b.argmax(1)).mean():.2f} % of {len(x)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    print(f"{'':48}{'top-1 %':>9}{'agree %':>9}{'KL':>10}{'bytes':>12}")
    for part in (keyword_spotting, image_classifier, autoencoder, mobilenet, two_files):
        with tempfile.TemporaryDirectory() as folder:
            part(octet, pathlib.Path(folder))


if __name__ == "__main__":
    main()
