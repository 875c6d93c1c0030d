#!/usr/bin/env python3
"""Quantized .tflite files in octet and in LiteRT: every output code equal, under both rules.

    tests/parity/tflite_models.py OCTET [FILE...] [--inputs N] [--seed S]

Without files: the int8 references of MLPerf Tiny, what octet makes of the float ones and of MobileNetV2, and the bundled
digits. For each file the outputs of `octet run --rule tflite` equal those of LiteRT's reference kernels, and with --rule
xnnpack those of LiteRT's default, on N inputs (1,000; 20 for networks of more than 50 million multiply-accumulates): half
of them real ones where there are any (keyword spotting, CIFAR-10, ImageNet, digits), else smooth ones, and half random
codes. Networks of dynamic range, whose float layers differ in their last bits (docs/parity.md), are as near as DYNAMIC says, with
the same class. Also: the file loads with XNNPACK on and off, and written again by octet it is the same bytes.
Exits with 1 if any of it fails.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402
import litert  # noqa: E402
from run import Checks  # noqa: E402

LARGE, FEW = 50_000_000, 20
KERNELS = {"tflite": "reference", "xnnpack": "xnnpack"}
TINY = common.SHARED / "models/mlperf_tiny"
# Largest difference of an output of a dynamic range network over the largest |output|: about twice what was measured.
DYNAMIC = {"digits_mlp": 2e-7, "ad": 0, "kws": 5e-4, "ic": 0.015, "vww": 2e-3 if common.AVX512 else 5e-3, "mobilenet_v2": 0.06}


def smooth(shape, count, random):
    """Values in 0..1 that change slowly along every axis: sums of a few waves."""
    grids = np.meshgrid(*[np.linspace(0, 1, extent) for extent in shape], indexing="ij") if shape else []
    out = np.zeros((count, *shape))
    for i in range(count):
        for _ in range(4):
            phase = sum(random.uniform(-6, 6) * grid for grid in grids) + random.uniform(0, 6.3)
            out[i] += random.uniform(0.2, 1) * np.sin(phase)
    low, high = out.min(axis=tuple(range(1, out.ndim)), keepdims=True), out.max(axis=tuple(range(1, out.ndim)), keepdims=True)
    return (out - low) / np.maximum(high - low, 1e-9)


def spectrogram(count, random):
    """Like five frames of 128 log-mel energies, in decibels."""
    return smooth((5, 128), count, random).reshape(count, 640) * 60 - 55


def real_values(name, shape, count, random):
    """Real inputs as the model takes them, NHWC without the batch, or None."""
    if name.startswith("kws") and common.SHARED.is_dir():
        mfcc = np.load(common.SHARED / "data/kws/kws01_mfcc_int8.npy")[:count]
        return ((mfcc.astype(np.float32) - 83) * np.float32(0.5847029089927673)).reshape(-1, *shape)
    if name.startswith("ic") and common.SHARED.is_dir():
        return images(common.SHARED / "data/cifar10_val.tar.gz", {"color": "RGB", "scale": 1.0}, count, random)
    if name.startswith("mobilenet_v2") and common.SHARED.is_dir():
        recipe = {"color": "RGB", "crop": 224, "mean": 1.0, "std": 1.0, "scale": 1 / 127.5}
        return images(common.SHARED / "data/imagenet_samples/evaluation", recipe, count, random)
    if name.startswith("digits"):
        recipe = {"color": "gray", "scale": 1 / 16}
        return images(common.DIGITS / "t10k-images-idx3-ubyte.gz", recipe, count, random).reshape(-1, *shape)
    return None


def images(source, recipe, count, random):
    known = common.samples(source)
    picks = random.choice(len(known), min(count, len(known)), replace=False)
    return np.concatenate([known[i][0](recipe) for i in picks]).transpose(0, 2, 3, 1)


def inputs_for(name, detail, count, random):
    """[count, ...] in the type of the model's input."""
    shape, dtype = tuple(int(d) for d in detail["shape"][1:]), detail["dtype"]
    real = real_values(name, shape, count // 2, random)
    if real is None:
        real = spectrogram(count // 2, random) if name.startswith("ad") else smooth(shape, count // 2, random)
    rest = count - len(real)
    if dtype == np.float32:
        low, high = real.min(), real.max()
        return np.concatenate([real, random.uniform(low, high, (rest, *shape))]).astype(np.float32)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    codes = np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max)
    return np.concatenate([codes, random.integers(limits.min, limits.max + 1, (rest, *shape))]).astype(dtype)


def litert_outputs(path, x, kernels):
    runner = litert.interpreter(path, kernels, threads=2)
    source, outputs = runner.get_input_details()[0]["index"], runner.get_output_details()
    rows = []
    for sample in x:
        runner.set_tensor(source, sample[None])
        runner.invoke()
        rows.append(runner.get_tensor(outputs[0]["index"]))
    return np.concatenate(rows)


def octet_outputs(octet, path, x, rule, folder):
    np.save(f"{folder}/x.npy", x)
    octet("run", path, "--input", f"{folder}/x.npy", "-o", f"{folder}/y.npy", "--rule", rule)
    return np.load(f"{folder}/y.npy")


def check_file(checks, octet, path, name, count, random):
    macs = octet("inspect", path)["macs"]
    if macs > LARGE:
        count = min(count, FEW)
    detail = litert.interpreter(path, "reference").get_input_details()[0]
    x = inputs_for(name, detail, count, random)
    with tempfile.TemporaryDirectory() as folder:
        for rule, kernels in KERNELS.items():
            theirs = litert_outputs(path, x, kernels)
            ours = octet_outputs(octet, path, x, rule, folder)
            same_form = ours.dtype == theirs.dtype and ours.shape == theirs.shape
            different = int((ours != theirs).sum()) if same_form else theirs.size
            rows = int((ours.argmax(-1) != theirs.argmax(-1)).sum()) if same_form else -1
            checks.expect(same_form and different == 0,
                          f"{path.name} rule {rule}: {different:,} of {theirs.size:,} output values differ from LiteRT's "
                          f"({kernels}), largest class on {rows} of {len(x)} inputs; {len(x)} inputs, {theirs.dtype}")
        octet("convert", path, "-o", f"{folder}/again.tflite")
        first = pathlib.Path(f"{folder}/again.tflite").read_bytes()
        octet("convert", f"{folder}/again.tflite", "-o", f"{folder}/third.tflite")
        same = pathlib.Path(f"{folder}/third.tflite").read_bytes() == first
        checks.expect(same, f"{path.name} read and written again by octet: {'the same bytes' if same else 'other bytes'}")


def check_dynamic(checks, octet, name, model, folder, count, random):
    path = folder / f"{name}_dynamic.tflite"
    octet("quantize", model, "-o", path, "--method", "dynamic")
    detail = litert.interpreter(path, "reference").get_input_details()[0]
    x = inputs_for(name, detail, FEW if octet("inspect", path)["macs"] > LARGE else count, random)
    x = x[:len(x) // 2]  # the real or smooth ones: random pixels are no inputs of a float network
    for rule, kernels in KERNELS.items():
        theirs = litert_outputs(path, x, kernels)
        ours = octet_outputs(octet, path, x, rule, folder)
        apart = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        rows = int((ours.argmax(-1) != theirs.argmax(-1)).sum())
        checks.expect(apart <= DYNAMIC[name] and rows == 0,
                      f"{path.name} rule {rule}: outputs at most {apart:.2g} of the largest from LiteRT's ({kernels}), "
                      f"{(ours != theirs).mean():.2%} of them differ, largest class on {rows} of {len(x)} inputs")


def float_models():
    """{name: float model} of the networks that are made dynamic."""
    models = {"digits_mlp": common.DIGITS / "digits_mlp.onnx"}
    if common.SHARED.is_dir():
        models |= {"kws": TINY / "kws_dscnn_reftwin_float.tflite", "ic": TINY / "ic_resnet8_float.tflite",
                   "vww": TINY / "vww_mobilenet025_float.tflite", "ad": TINY / "ad_autoencoder_float.tflite",
                   "mobilenet_v2": common.SHARED / "models/imagenet/mobilenet_v2_100_224_float.tflite"}
    return models


def made_by_octet(octet, folder):
    """(path, name) of int8, int4-weight and 16x8 files that octet quantizes itself."""
    recipe_digits = ["--data", common.DIGITS / "train-images-idx3-ubyte.gz"]
    jobs = [("digits_cnn", common.DIGITS / "digits_cnn.onnx", recipe_digits, ["--input-layout", "nhwc"]),
            ("digits_mlp", common.DIGITS / "digits_mlp.onnx", recipe_digits, [])]
    if common.SHARED.is_dir():
        np.save(folder / "kws.npy", real_values("kws", (49, 10, 1), 100, None))
        random = np.random.default_rng(3)
        np.save(folder / "vww.npy", smooth((96, 96, 3), 100, random).astype(np.float32))
        np.save(folder / "ad.npy", spectrogram(100, random).astype(np.float32))
        (folder / "raw.json").write_text('{"color": "RGB", "scale": 1.0}')
        cifar = ["--data", common.SHARED / "data/cifar10_train.tar.gz", "--recipe", folder / "raw.json"]
        imagenet = ["--data", common.SHARED / "data/imagenet_samples/calibration", "--recipe",
                    common.RECIPES / "mobilenet_v2.json"]
        jobs += [("kws", TINY / "kws_dscnn_reftwin_float.tflite", ["--data", folder / "kws.npy"], []),
                 ("ic", TINY / "ic_resnet8_float.tflite", cifar, []),
                 ("ic_int4", TINY / "ic_resnet8_float.tflite", cifar, ["--weights", "int4", "--no-adaround"]),
                 ("vww", TINY / "vww_mobilenet025_float.tflite", ["--data", folder / "vww.npy"], []),
                 ("ad", TINY / "ad_autoencoder_float.tflite", ["--data", folder / "ad.npy"], []),
                 ("mobilenet_v2", common.SHARED / "models/imagenet/mobilenet_v2_100_224_float.tflite", imagenet, [])]
    for name, model, data, options in jobs:
        for io in ("float", "int8") if "int4" in options else ("float", "int8", "int16"):
            path = folder / f"{name}_octet_{io}.tflite"
            wide = ["--activations", "int16"] if io == "int16" else []
            octet("quantize", model, "-o", path, *data, "--samples", 100, "--io", io, *wide, *options)
            yield path, name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    octet, checks, random = common.Octet(options.octet), Checks(), np.random.default_rng(options.seed)
    if not common.SHARED.is_dir():
        print(f"{common.SHARED} is not there: only the bundled models are compared")
    with tempfile.TemporaryDirectory() as folder:
        files = [(path, path.stem) for path in options.files]
        if not files:
            files = [(path, path.stem) for path in sorted(TINY.glob("*_int8.tflite"))]
            files += made_by_octet(octet, pathlib.Path(folder))
        for path, name in files:
            check_file(checks, octet, path, name, options.inputs, random)
        for name, model in {} if options.files else float_models().items():
            check_dynamic(checks, octet, name, model, pathlib.Path(folder), min(options.inputs, 200), random)
    print(f"tflite models: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
