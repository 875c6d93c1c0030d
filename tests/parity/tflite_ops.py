#!/usr/bin/env python3
"""Float .tflite models of one operator each, through `octet run` and LiteRT's reference kernels.

    tests/parity/tflite_ops.py OCTET [--only TEXT] [--jobs N] [--verbose]

Each operator that the reader knows comes with several attributes and shapes. A model passes when every output has
LiteRT's shape and type and differs by at most 1e-5 of the largest |output| (integers and bools: not at all). Then the
float models of ../shared where it is. Fails when one of them fails, or when an operator of the reader has no case (QUANTIZE makes no float model).
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

import litert
import tflite_op_cases

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT.parent / "shared/models"
TOLERANCE = 1e-5


def known_operators():
    """The operators in the reader's table."""
    text = (ROOT / "src/formats/tflite/reader_operators.cpp").read_text()
    return set(re.findall(r"^    \{Code::(\w+), read_", text, re.MULTILINE))


def octet_outputs(octet, model, arrays, names, folder):
    command = [octet, "run", str(model)]
    for i, array in enumerate(arrays):
        np.save(folder / f"{i}.npy", array)
        command += ["--input", str(folder / f"{i}.npy")]
    result = folder / ("out.npy" if len(names) == 1 else "out")
    done = subprocess.run([*command, "-o", str(result)], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or f"exit code {done.returncode}")
    if len(names) == 1:
        return [np.load(result)]
    return [np.load(result / f"{name}.npy") for name in names]


def difference(ours, theirs):
    """What is wrong with one output, or "" and the largest difference over the largest |output|."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.dtype}{list(ours.shape)}, LiteRT {theirs.dtype}{list(theirs.shape)}", 0.0
    if ours.size == 0:
        return "", 0.0
    if theirs.dtype != np.float32:
        wrong = int((ours != theirs).sum())
        return (f"{wrong} of {ours.size} elements differ" if wrong else ""), 0.0
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return "not finite in other places", 0.0
    both = np.isfinite(theirs)
    largest = np.abs(theirs[both].astype(np.float64)).max(initial=0)
    error = np.abs(ours[both].astype(np.float64) - theirs[both]).max(initial=0) / max(largest, 1e-30)
    return (f"off by {error:.2e} of the largest" if error > TOLERANCE else ""), error


def check(octet, model, arrays, names, kernels="reference"):
    """"" or what is wrong, and the largest difference."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = model
        if isinstance(model, bytes):
            path = folder / "model.tflite"
            path.write_bytes(model)
        theirs = litert.run(model, arrays, kernels)
        try:
            ours = octet_outputs(octet, path, arrays, names, folder)
        except ValueError as error:
            return str(error), 0.0
    worst = 0.0
    for a, b in zip(ours, theirs):
        wrong, error = difference(a, b)
        if wrong:
            return wrong, error
        worst = max(worst, error)
    return "", worst


def check_file(octet, path):
    details = litert.interpreter(path, "reference").get_input_details()
    random = np.random.default_rng(1)
    arrays = [random.uniform(-1, 1, detail["shape"]).astype(detail["dtype"]) for detail in details]
    return check(octet, path, arrays, [""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("octet")
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    cases = [case for case in tflite_op_cases.all_cases() if arguments.only in case.name]
    uncovered = known_operators() - {case.operator for case in cases} - {"QUANTIZE"} if not arguments.only else set()
    files = sorted(MODELS.glob("*/*float.tflite")) if not arguments.only else []

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda c: check(arguments.octet, c.model, c.arrays, c.outputs, c.kernels), cases))
        results += list(pool.map(lambda path: check_file(arguments.octet, path), files))
    names = [case.name for case in cases] + [f"{path.parent.name}/{path.name}" for path in files]
    failed = 0
    for name, (wrong, error) in zip(names, results):
        failed += bool(wrong)
        if wrong or arguments.verbose:
            print(f"{name}: {wrong or f'{error:.1e}'}")
    for operator in sorted(uncovered):
        print(f"{operator}: no case")
    print(f"tflite operators: {len(cases)} models of {len({case.operator for case in cases})} operators and "
          f"{len(files)} files, {len(names) - failed} passed, {failed} failed; "
          f"largest difference {max((error for _, error in results), default=0):.1e}")
    return 1 if failed or uncovered else 0


if __name__ == "__main__":
    sys.exit(main())
