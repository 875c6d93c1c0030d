#!/usr/bin/env python3
"""The public ONNX node cases (onnx.backend.test.case.node) of octet's operators, through `octet run`.

    tests/parity/node_cases.py OCTET [--cases DIR] [--only TEXT] [--jobs N] [--verbose]

A case counts when its operator stands in src/graph/op_schema.cpp and all its inputs and outputs are float32, integer
or bool tensors; a case that spells an operator out as a function (`_expanded`) counts when octet knows all operators
of the body. The cases that fail stand in node_cases_excluded.txt with their reasons. Fails when a case outside of
that list fails, when one in it passes or does not exist, and when less than 97 % of the cases pass.
Collecting the cases takes a while: they are kept in DIR (default: build/node_cases-VERSION).
"""

import argparse
import collections
import concurrent.futures
import fcntl
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnx.numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCLUDED = pathlib.Path(__file__).with_name("node_cases_excluded.txt")
LEAST_PASSED = 0.97
TYPES = {getattr(onnx.TensorProto, name) for name in
         "FLOAT BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64".split()}


def known_operators():
    table = (ROOT / "src/graph/op_schema.cpp").read_text()
    return set(re.findall(r'^    \{"(\w+)", \d', table, re.MULTILINE))


def usable(value):
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in TYPES


def operators_of(graph):
    """Names of all operators, with the domain where it is not the standard one."""
    names = set()
    for node in graph.node:
        names.add(f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type)
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                names |= operators_of(inner)
    return names


def write_case(case, folder):
    """The case's files, and what the index says of it."""
    folder.mkdir(parents=True)
    onnx.save(case.model, str(folder / "model.onnx"))
    (inputs, outputs), graph = case.data_sets[0], case.model.graph
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, array in enumerate(arrays):
            if isinstance(array, onnx.TensorProto):
                array = onnx.numpy_helper.to_array(array)
            np.save(folder / f"{kind}{i}.npy", np.asarray(array))
    return {"name": case.name, "rtol": case.rtol, "atol": case.atol,
            "inputs": [v.name for v in graph.input], "outputs": [v.name for v in graph.output]}


def prepare(folder):
    """Writes all cases of octet's operators; returns their index, with the operator of each, and how many of these
    operators' cases are outside and why."""
    # Importing makes the cases, which takes long and warns of divisions by zero that are meant.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    cases = collect_testcases(None)
    known = known_operators()
    single = {c.name: operators_of(c.model.graph) for c in cases if c.model is not None}
    index, outside = [], collections.Counter()
    shutil.rmtree(folder, ignore_errors=True)
    for case in cases:
        if case.model is None:
            continue
        operators, graph = single[case.name], case.model.graph
        base = single.get(case.name.split("_expanded")[0], operators)
        if len(base) != 1 or not base <= known:
            continue
        if not all(usable(v) for v in [*graph.input, *graph.output]):
            outside["other types"] += 1
        elif not operators <= known:
            outside["a function of operators that octet does not know"] += 1
        else:
            index.append({"op": next(iter(base)), **write_case(case, folder / case.name)})
    result = {"operators": sorted(known), "cases": index, "outside": outside}
    (folder / "index.json").write_text(json.dumps(result))
    return result


def load(folder):
    """The index; of scripts that run side by side one writes the cases, the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        index = folder / "index.json"
        if index.exists():
            result = json.loads(index.read_text())
            if result["operators"] == sorted(known_operators()):
                return result
        return prepare(folder)


def compare(ours, theirs, case):
    if ours.dtype != theirs.dtype:
        return f"type {ours.dtype}, expected {theirs.dtype}"
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, expected {theirs.shape}"
    try:
        np.testing.assert_allclose(ours, theirs, rtol=case["rtol"], atol=case["atol"])
    except AssertionError as error:
        lines = [line for line in str(error).splitlines() if "ismatch" in line or "difference" in line]
        return "; ".join(lines) or "differs"
    return ""


def run_case(octet, cases, case):
    """Why the case fails, or an empty string."""
    folder = cases / case["name"]
    with tempfile.TemporaryDirectory() as out:
        several = len(case["outputs"]) > 1
        target = out if several else f"{out}/0.npy"
        command = [octet, "run", str(folder / "model.onnx"), "--threads", "1", "--json", "-o", target]
        for i, name in enumerate(case["inputs"]):
            command += ["--input", f"{name}={folder}/input{i}.npy"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return "takes longer than a minute"
        if done.returncode != 0:
            return f"exit {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
        files = json.loads(done.stdout)["files"]
        for i, file in enumerate(files):
            difference = compare(np.load(file), np.load(folder / f"output{i}.npy"), case)
            if difference:
                return f"output {case['outputs'][i]}: {difference}"
    return ""


def excluded_cases():
    lines = (line.split("#")[0].strip() for line in EXCLUDED.read_text().splitlines())
    return dict(re.split(r":\s+", line, maxsplit=1) for line in lines if line)


def print_by_operator(cases, reasons, verbose):
    passed, failed = collections.Counter(), collections.Counter()
    for case in cases:
        (failed if reasons[case["name"]] else passed)[case["op"]] += 1
    for op in sorted({c["op"] for c in cases}):
        if verbose or failed[op]:
            print(f"     {op}: {passed[op]} passed, {failed[op]} failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT / f"build/node_cases-{onnx.__version__}")
    parser.add_argument("--only", default="", help="regular expression of case or operator names")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()

    index = load(options.cases)
    cases = [c for c in index["cases"] if re.search(options.only, f"{c['name']} {c['op']}")]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        found = pool.map(lambda case: run_case(options.octet, options.cases, case), cases)
        reasons = dict(zip((c["name"] for c in cases), found))
    print_by_operator(cases, reasons, options.verbose)

    excluded, wrong = excluded_cases(), 0
    for name, reason in reasons.items():
        if reason and name not in excluded:
            wrong += 1
            print(f"FAIL {name}: {reason}")
        elif reason and options.verbose:
            print(f"     {name} is excluded ({excluded[name]}): {reason}")
        elif not reason and name in excluded:
            wrong += 1
            print(f"FAIL {name} passes but stands in {EXCLUDED.name}")
    for name in excluded if not options.only else []:
        if name not in reasons:
            wrong += 1
            print(f"FAIL {EXCLUDED.name} names {name}, which is no case")
    passed = sum(not reason for reason in reasons.values())
    share = passed / max(len(reasons), 1)
    if not options.only and share < LEAST_PASSED:
        wrong += 1
    print(f"{'FAIL' if wrong else 'ok  '} node cases: {passed} of {len(reasons)} pass ({100 * share:.2f} %, at least "
          f"{100 * LEAST_PASSED:.0f} % wanted) for {len({c['op'] for c in cases})} operators; outside: " +
          ", ".join(f"{count} with {what}" for what, count in sorted(index["outside"].items())))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
