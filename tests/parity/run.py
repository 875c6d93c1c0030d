#!/usr/bin/env python3
"""Parity of octet with ONNX Runtime and onnx.checker, on the bundled models and those of ../shared where it is.

    tests/parity/run.py OCTET [MODEL...] [--images N] [--layer-images N] [--verbose]

For each model:
  float     outputs of octet's float engine equal ONNX Runtime's within 1e-4 of the largest, on 100 images
  checker   the int8 model that octet writes passes onnx.checker (full) and is smaller than ONNX Runtime's
  top-1     of the int8 model on all evaluation images: octet's integer engine and ONNX Runtime agree on at least
            99.5 %; with its graph optimizations off at least as often as its own two modes do
  layers    each piece between two quantized values, fed the same codes: no value more than 1 apart, and at least
            99.9 % equal, in each piece and over all of them; ONNX Runtime with optimizations on (the arithmetic
            that octet reproduces) and off. Off, the pieces of FLOAT_WITHOUT_OPTIMIZATIONS alone need not be 99.9 %
            equal: they are named with their counts
  wide      with some values of 16 bits: onnx.checker, uint16 in the file, octet's simulation equal to its integer engine,
            and top-1 and outputs as ONNX Runtime's: equal but where a float operator rounds otherwise and a code falls the
            other way, on average within 1e-3 of the largest
Exits with 1 if any of it fails.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import numpy as np
import onnx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402
import layers  # noqa: E402

FLOAT_IMAGES, FLOAT_TOLERANCE = 100, 1e-4
LEAST_AGREEMENT, LEAST_EQUAL, LARGEST_MEAN = 0.995, 0.999, 1e-3
# Without optimizations ONNX Runtime runs these in f32 on dequantized codes, each step rounded, where octet has an
# exact integer sum (the pools) or its optimized QLinearAdd, which breaks ties otherwise (docs/arithmetic.md, 4 and 5).
FLOAT_WITHOUT_OPTIMIZATIONS = {"AveragePool", "GlobalAveragePool", "Add"}


# Values of 16 bits among others of 8, by model.
WIDE = {"digits_cnn": ["relu_2", "relu_8"], "resnet20": ["/layer1/*Relu_1*", "/layer3/*conv1*"]}


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, good, line):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'} {line}", flush=True)


def check_float(checks, octet, model, x):
    ours, theirs = octet.outputs(model.path, x, "float"), common.ort_outputs(model.path, x)
    relative = np.abs(ours - theirs).max() / np.abs(theirs).max()
    checks.expect(ours.shape == theirs.shape and relative <= FLOAT_TOLERANCE,
                  f"{model.name} float: largest difference {relative:.1e} of the largest output, {len(x)} images")


def check_file(checks, model, int8):
    try:
        onnx.checker.check_model(str(int8), full_check=True)
        common.ort_session(int8, exact=False)  # the file as it is
        verdict = ""
    except Exception as error:  # both throw several types
        verdict = str(error).splitlines()[0]
    checks.expect(not verdict, f"{model.name} onnx.checker and ONNX Runtime: {verdict or 'load it'}")


def check_size(checks, model, int8, folder):
    x, _ = common.load(model.calibration, model.recipe, 8)
    theirs = f"{folder}/ort.onnx"
    common.ort_quantize(model.path, theirs, x)
    a, b = os.path.getsize(int8), os.path.getsize(theirs)
    checks.expect(a < b, f"{model.name} size: {a:,} bytes, ONNX Runtime's {b:,}")


def check_top1(checks, octet, model, int8, x, labels):
    """Without graph optimizations ONNX Runtime convolves in f32, and its own two modes disagree on some images: there
    octet must agree as often as the optimized mode does."""
    ours = octet.outputs(int8, x, "integer").argmax(1)
    optimized, plain = (common.ort_outputs(int8, x, mode).argmax(1) for mode in (True, False))
    between_modes = (optimized == plain).mean()
    for mode, theirs, least in (("optimized", optimized, LEAST_AGREEMENT),
                                ("not optimized", plain, min(LEAST_AGREEMENT, between_modes))):
        agreement = (ours == theirs).mean()
        checks.expect(agreement >= least,
                      f"{model.name} top-1 equals ONNX Runtime's ({mode}) on {100 * agreement:.2f} % of {len(x)}; "
                      f"top-1 {100 * (ours == labels).mean():.2f} % and {100 * (theirs == labels).mean():.2f} %; "
                      f"its two modes agree on {100 * between_modes:.2f} %")


def mostly_equal(different, values):
    return different <= (1 - LEAST_EQUAL) * values


def may_differ_by_one(difference, optimized):
    first = difference.operators[0] if difference.operators else ""
    return not optimized and first in FLOAT_WITHOUT_OPTIMIZATIONS


def print_differences(differences):
    for d in differences:
        if d.different:
            print(f"       {d.label}: {d.different:,} of {d.values:,} differ "
                  f"({100 * d.different / d.values:.4f} %), largest {d.largest}")


def check_layers(checks, octet, model, int8, x, folder, verbose):
    taps = f"{folder}/taps"
    octet.outputs(int8, x, "integer", batch=len(x), taps=taps)
    for optimized in (True, False):
        mode = "optimized" if optimized else "not optimized"
        differences, missing = layers.compare_layers(int8, x, taps, optimized)
        values, different = (sum(getattr(d, key) for d in differences) for key in ("values", "different"))
        apart = [d for d in differences if not mostly_equal(d.different, d.values)]
        bad = [d for d in differences
               if d.largest > 1 or (d in apart and not may_differ_by_one(d, optimized))]
        checks.expect(differences and mostly_equal(different, values) and not bad,
                      f"{model.name} layers ({mode}): {len(differences)} compared, {different:,} of {values:,} values "
                      f"differ, largest {max((d.largest for d in differences), default=0)}; "
                      f"{len(missing)} pieces not made by octet as such")
        print_differences(differences if verbose else [d for d in differences if d in bad or d in apart])
        if verbose and optimized:
            for label in missing:
                print(f"       not compared: {label}")


def check_wide(checks, octet, model, x, folder):
    path = pathlib.Path(folder) / "wide.onnx"
    octet.quantize(model, path, *(option for glob in WIDE[model.name] for option in ("--int16", glob)))
    check_file(checks, model, path)
    wide = [t.name for t in onnx.load(path).graph.initializer if t.data_type == onnx.TensorProto.UINT16]
    ours, simulated = (octet.outputs(path, x, engine) for engine in ("integer", "simulate"))
    theirs = common.ort_outputs(path, x)
    apart, same = np.abs(ours - theirs).mean() / np.abs(theirs).max(), (ours.argmax(1) == theirs.argmax(1)).mean()
    checks.expect(wide and (ours == simulated).all() and apart <= LARGEST_MEAN and same >= LEAST_AGREEMENT,
                  f"{model.name} 16-bit values: {len(wide)} uint16 zero points; simulation equal: {(ours == simulated).all()}; "
                  f"mean difference of ONNX Runtime's outputs {apart:.1e} of the largest, top-1 equal on {100 * same:.2f} % of {len(x)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--images", type=int, default=0, help="evaluation images for top-1 (0: all)")
    parser.add_argument("--layer-images", type=int, default=8)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    octet, checks = common.Octet(options.octet), Checks()
    if not common.SHARED.is_dir():
        print(f"{common.SHARED} is not there: only the bundled models are compared")
    for model in common.models(options.models):
        x, labels = common.load(model.evaluation, model.recipe, options.images)
        with tempfile.TemporaryDirectory() as folder:
            int8 = pathlib.Path(folder) / "int8.onnx"
            octet.quantize(model, int8)
            check_float(checks, octet, model, x[:: max(1, len(x) // FLOAT_IMAGES)][:FLOAT_IMAGES])
            check_file(checks, model, int8)
            if model.name in WIDE:
                check_wide(checks, octet, model, x[:500], folder)
            check_size(checks, model, int8, folder)
            check_top1(checks, octet, model, int8, x, labels)
            step = max(1, len(x) // options.layer_images)
            check_layers(checks, octet, model, int8, x[::step][:options.layer_images], folder, options.verbose)
    print(f"parity: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
