#!/usr/bin/env python3
"""Peak memory of `octet calibrate --observer entropy`: that it does not grow with the number of samples.

    bench/memory.py OCTET [--peer]      --peer: also ONNX Runtime's Entropy on MobileNetV1, which takes many GB
"""

import argparse
import pathlib
import sys
import tempfile

import common


def peak(octet, model, data, count, folder):
    return common.measured(octet.command(
        "calibrate", model.path, "--observer", "entropy", "--data", data, "--recipe", model.recipe,
        "--samples", count, "-o", f"{folder}/statistics"))[1] / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    if not common.SHARED.is_dir():
        raise SystemExit(f"memory.py needs the models and data of {common.SHARED}")
    resnet, mobilenet = common.models(["resnet20", "mobilenet_v1_075_224"])
    with tempfile.TemporaryDirectory() as folder:
        few, many = (peak(octet, resnet, resnet.calibration, n, folder) for n in (50, 5000))
        print(f"resnet20: {few:.1f} MB with 50 samples, {many:.1f} MB with 5,000 (ratio {many / few:.3f})")
        large = peak(octet, mobilenet, mobilenet.calibration, 200, folder)
        print(f"mobilenet_v1_075_224: {large:.1f} MB with 200 samples")
        if options.peer:
            _, theirs = common.measured([
                sys.executable, pathlib.Path(__file__).with_name("ort_quantize.py"), mobilenet.path,
                f"{folder}/ort.onnx", "--data", mobilenet.calibration, "--recipe", mobilenet.recipe,
                "--observer", "Entropy"])
            print(f"mobilenet_v1_075_224: ONNX Runtime's Entropy calibration {theirs / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
