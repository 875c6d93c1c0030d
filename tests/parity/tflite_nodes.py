#!/usr/bin/env python3
"""The public ONNX node cases written as .tflite, against LiteRT.

    tests/parity/tflite_nodes.py OCTET [--only TEXT] [--jobs N] [--verbose]

Each case of node_cases.py is converted; where a weight or a list of axes is an input of the model, once more with all
inputs but the first as constants. A case passes when it is refused in one line that names the node, or when the file
loads in LiteRT, gives the expected outputs (within 1e-4 of the largest), and is the same bytes once it is read and written again.
"""

import argparse
import collections
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.numpy_helper

import litert
import node_cases

TOLERANCE = 1e-4
LEAST_WRITTEN = 510
# LiteRT computes something else than the case expects, or nothing.
EXCLUDED = {
    "test_constantofshape_int_shape_zero": "LiteRT takes no tensor without elements",
    "test_gather_negative_indices": "LiteRT takes no indices from the end that are not constant",
    "test_resize_downsample_scales_linear_align_corners": "see node_cases_excluded.txt",
}


def with_constants(model, arrays):
    """The model with all inputs but the first as initializers."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value, array in list(zip(model.graph.input, arrays))[1:]:
        changed.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    del changed.graph.input[1:]
    return changed


def convert(octet, source, target):
    """"" or octet's error; raises when that is no refusal of the model."""
    done = subprocess.run([octet, "convert", str(source), "-o", str(target), "--threads", "1", "--quiet"],
                          capture_output=True, text=True, timeout=60, check=False)
    lines = done.stderr.strip().splitlines()
    if done.returncode not in (0, 2) or (done.returncode == 2 and len(lines) != 1):
        raise ValueError(f"exit {done.returncode}: {' | '.join(lines)}")
    return lines[0] if done.returncode else ""


def outputs(path, feeds):
    """Of LiteRT for inputs by name."""
    made = litert.interpreter(path, allocate=False)
    details = made.get_input_details()
    for detail in details:
        if list(detail["shape"]) != list(feeds[detail["name"]].shape):
            made.resize_tensor_input(detail["index"], feeds[detail["name"]].shape)
    made.allocate_tensors()
    for detail in details:
        made.set_tensor(detail["index"], feeds[detail["name"]])
    made.invoke()
    return [made.get_tensor(d["index"]) for d in made.get_output_details()]


def difference(ours, expected):
    if ours.dtype != expected.dtype or ours.shape != expected.shape:
        return f"{ours.dtype}{list(ours.shape)} where {expected.dtype}{list(expected.shape)} is expected"
    if expected.dtype.kind != "f":
        wrong = int((ours != expected).sum())
        return f"{wrong} of {ours.size} elements differ" if wrong else ""
    finite = expected[np.isfinite(expected)]
    bound = TOLERANCE * max(float(np.abs(finite).max(initial=0)), 1e-3)
    return "" if np.allclose(ours, expected, rtol=0, atol=bound, equal_nan=True) else "other numbers"


def check_file(octet, source, feeds, expected, folder):
    """"refused: ..." or what is wrong or ""."""
    first, second = folder / "first.tflite", folder / "second.tflite"
    refusal = convert(octet, source, first)
    if refusal:
        return f"refused: {refusal}"
    again = convert(octet, first, second)
    if again:
        return f"written, but not read: {again}"
    if first.read_bytes() != second.read_bytes():
        return "other bytes when read and written again"
    try:
        theirs = outputs(first, feeds)
    except (RuntimeError, ValueError) as error:
        return f"LiteRT: {' '.join(str(error).split())[:200]}"
    return next(filter(None, map(difference, theirs, expected)), "")


def run_case(octet, cases, case):
    """What became of the case, of its form with constants, too."""
    folder = cases / case["name"]
    arrays = [np.load(folder / f"input{i}.npy") for i in range(len(case["inputs"]))]
    expected = [np.load(folder / f"output{i}.npy") for i in range(len(case["outputs"]))]
    feeds = dict(zip(case["inputs"], arrays))
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        found = [check_file(octet, folder / "model.onnx", feeds, expected, temporary)]
        if len(arrays) > 1 and found[0].startswith("refused"):
            model = onnx.load(str(folder / "model.onnx"))
            if len(model.graph.input) == len(arrays):
                onnx.save(with_constants(model, arrays), str(temporary / "constants.onnx"))
                found.append(check_file(octet, temporary / "constants.onnx", feeds, expected, temporary))
    return found


def safely(octet, cases, case):
    try:
        return run_case(octet, cases, case)
    except ValueError as error:
        return [str(error)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--cases", type=pathlib.Path, default=node_cases.ROOT / f"build/node_cases-{onnx.__version__}")
    parser.add_argument("--only", default="", help="regular expression of case or operator names")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    cases = [c for c in node_cases.load(options.cases)["cases"]
             if re.search(options.only, f"{c['name']} {c['op']}") and c["name"] not in EXCLUDED]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda c: safely(options.octet, options.cases, c), cases))
    counts, reasons = collections.Counter(), collections.Counter()
    for case, found in zip(cases, results):
        for n, text in enumerate(found):
            kind = "refused" if text.startswith("refused") else "failed" if text else "written"
            counts[kind] += 1
            label = case["name"] + (" with constants" if n else "")
            if kind == "failed" or (options.verbose and kind == "refused"):
                print(f"{label}: {text}")
            if kind == "refused":
                reasons[text.rsplit(": ", 1)[-1]] += 1
    for reason, count in reasons.most_common() if options.verbose else []:
        print(f"{count:4} {reason}")
    too_few = not options.only and counts["written"] < LEAST_WRITTEN
    print(f"tflite nodes: {sum(counts.values())} models, {counts['written']} written and equal, {counts['refused']} "
          f"refused by name, {counts['failed']} failed" + (f"; at least {LEAST_WRITTEN} should be written" if too_few else ""))
    sys.exit(1 if counts["failed"] or too_few else 0)


if __name__ == "__main__":
    main()
