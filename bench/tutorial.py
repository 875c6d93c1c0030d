#!/usr/bin/env python3
"""octet's tutorial beside TensorFlow's, in one run: 784-100-10 on MNIST, 5 epochs in float, dynamic range after training, one
epoch quantization-aware, .tflite files. Prints sizes, accuracies, times, and the ratios of the times.

    python3 -m venv build/venv-tf
    build/venv-tf/bin/pip install tensorflow-cpu tensorflow-model-optimization tf_keras     # 2.3 GB; or --install
    build/venv/bin/python bench/tutorial.py BUILD_FOLDER MNIST_FOLDER [--seeds 5] [--install]

TensorFlow Model Optimization works with Keras 2, which is tf_keras here. Both sides run by turns, a seed each; the TensorFlow
side is a process of its own, whose start (importing TensorFlow) counts as a user waits for it, and is told apart.
Every quantization-aware .tflite of octet is run in LiteRT, too: how often it predicts the same class."""

import argparse
import gzip
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TF = ROOT / "build" / "venv-tf"
PACKAGES = ["tensorflow-cpu", "tensorflow-model-optimization", "tf_keras"]


def idx(folder, name):
    raw = gzip.open(folder / f"{name}.gz").read()
    return np.frombuffer(raw, np.uint8, offset=16 if "images" in name else 8)


def mnist(folder, prefix):
    images = idx(folder, f"{prefix}-images-idx3-ubyte").reshape(-1, 28, 28).astype(np.float32) / np.float32(255)
    return images, idx(folder, f"{prefix}-labels-idx1-ubyte").astype(np.int64)


def litert_classes(path, images):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = source["quantization"]
    found = []
    for image in images.reshape(-1, *source["shape"]):
        code = np.clip(np.rint(image / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], code)
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0].argmax())
    return np.array(found)


def octet_side(build, folder, seed, work, test):
    """{row: (bytes, top-1, seconds)}, seconds in all, share of the test images with LiteRT's class"""
    start = time.perf_counter()
    text = subprocess.run([ROOT / "examples/tutorial.sh", "--build", build, "--seed", str(seed), "--keep", work, folder],
                          check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - start
    rows = re.findall(r"^(.*?)\s+(\d+)\s+([\d.]+)\s+([\d.]+)$", text, re.M)
    table = {name.strip(): (int(size), float(top1), float(took)) for name, size, top1, took in rows}
    out = work / "y.npy"
    x = work / "x.npy"
    np.save(x, test[0][:, None])
    subprocess.run([build / "octet", "run", work / "qat.tflite", "--input", x, "-o", out, "--rule", "xnnpack", "--quiet"],
                   check=True, capture_output=True)
    same = (np.load(out).reshape(len(test[0]), -1).argmax(1) == litert_classes(work / "qat.tflite", test[0])).mean()
    return table, seconds, same


def tensorflow_side(folder, seed):
    """Run by build/venv-tf/bin/python; prints one JSON object."""
    start = time.perf_counter()
    os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras
    imported = time.perf_counter() - start
    keras.utils.set_random_seed(seed)
    (x, y), (xt, yt) = mnist(folder, "train"), mnist(folder, "t10k")
    took = {"import": imported}

    def timed(name, call):
        begin = time.perf_counter()
        result = call()
        took[name] = time.perf_counter() - begin
        return result

    model = keras.Sequential([keras.layers.Flatten(input_shape=(28, 28)), keras.layers.Dense(100, activation="relu"),
                              keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    timed("train", lambda: model.fit(x, y, epochs=5, batch_size=32, verbose=0))

    def converted(source):
        converter = tf.lite.TFLiteConverter.from_keras_model(source)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()

    def top1(content):
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
        right = 0
        for image, label in zip(xt, yt):
            interpreter.set_tensor(source, image[None])
            interpreter.invoke()
            right += int(interpreter.get_tensor(target)[0].argmax() == label)
        return right / len(yt)

    result = {"float": float(model.evaluate(xt, yt, verbose=0)[1])}
    dynamic = timed("dynamic", lambda: converted(model))
    aware = tfmot.quantization.keras.quantize_model(model)
    aware.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    timed("aware", lambda: aware.fit(x, y, epochs=1, batch_size=32, verbose=0))
    integer = timed("aware_convert", lambda: converted(aware))
    result |= {"dynamic": top1(dynamic), "dynamic_bytes": len(dynamic), "aware": top1(integer), "aware_bytes": len(integer),
               "seconds": took}
    print("\n" + json.dumps(result))


def run_tensorflow(folder, seed):
    start = time.perf_counter()
    done = subprocess.run([TF / "bin/python", __file__, "-", folder, "--tensorflow", str(seed)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tutorial.py: the TensorFlow side failed\n{done.stderr[-2000:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result["all"] = time.perf_counter() - start
    return result


def check_environment(install):
    if (TF / "bin/python").exists():
        return
    if not install:
        sys.exit(f"tutorial.py: {TF} is missing; --install makes it (2.3 GB), or see the head of this script")
    subprocess.run([sys.executable, "-m", "venv", TF], check=True)
    subprocess.run([TF / "bin/pip", "install", "-q", *PACKAGES], check=True)


def show(name, octet, tensorflow, unit, ratio=False):
    a, b = statistics.mean(octet), statistics.mean(tensorflow)
    tail = f"   {a / b:6.3f}" if ratio else ""
    print(f"{name:<40}{a:>12,.2f}{b:>12,.2f}  {unit:<6}{tail}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("mnist", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--install", action="store_true", help="make build/venv-tf where it is missing")
    parser.add_argument("--tensorflow", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tensorflow is not None:
        return tensorflow_side(options.mnist, options.tensorflow)
    check_environment(options.install)
    build, folder = pathlib.Path(options.build).resolve(), options.mnist.resolve()
    test = mnist(folder, "t10k")
    ours, theirs = [], []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as work:
            ours.append(octet_side(build, folder, seed, pathlib.Path(work), test))
        theirs.append(run_tensorflow(folder, seed))
    print(f"mean of {options.seeds} seeds{'':<24}{'octet':>10}{'TensorFlow':>12}{'':>8}{'ratio':>8}")

    def of(row, part):
        return [table[row][part] for table, _, _ in ours]

    aware, dynamic = "full integer, quantization-aware", "dynamic range, after training"
    show("float", of("float, trained", 1), [100 * t["float"] for t in theirs], "top-1")
    show(dynamic, of(dynamic, 1), [100 * t["dynamic"] for t in theirs], "top-1")
    print(f"{'full integer, after training':<40}{statistics.mean(of('full integer, after training', 1)):>12,.2f}{'-':>12}  top-1")
    show(aware, of(aware, 1), [100 * t["aware"] for t in theirs], "top-1")
    show(dynamic, of(dynamic, 0), [t["dynamic_bytes"] for t in theirs], "bytes", True)
    show(aware, of(aware, 0), [t["aware_bytes"] for t in theirs], "bytes", True)
    show("training, 5 epochs", of("float, trained", 2), [t["seconds"]["train"] for t in theirs], "s", True)
    show("quantization-aware, 1 epoch, .tflite", of(aware, 2),
         [t["seconds"]["aware"] + t["seconds"]["aware_convert"] for t in theirs], "s", True)
    show("all, evaluation and start included", [seconds for _, seconds, _ in ours], [t["all"] for t in theirs], "s", True)
    print(f"octet's classes of the quantization-aware file equal LiteRT's on {100 * min(s for _, _, s in ours):.2f} % or more")


if __name__ == "__main__":
    main()
