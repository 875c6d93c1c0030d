#!/usr/bin/env python3
"""Octet on the networks that people bring (builders/), with ONNX Runtime as oracle and as rival.

    tests/parity/networks.py OCTET [--only NAME]... [--json FILE] [--verbose] [--keep FOLDER]

For each network, written in the style of an exporter, with 64 calibration samples and others to evaluate on:
  float        outputs of octet's float engine equal ONNX Runtime's within 1e-4 of the largest
  files        static, dynamic, weight-only int8 and float16 models pass onnx.checker (full) and run in ONNX Runtime
  static       octet's integer engine against ONNX Runtime on the file octet wrote: the same class on 99.5 % of the
               samples, or for dense outputs that end in codes 99 % of equal values; each piece between two quantized
               values, fed the same codes, at most 1 code apart and 99.9 % equal
  dynamic      both forms: the same classes; the difference between the two engines is 6 dB below the quantization
               error or more; static and dynamic also with inputs of another size where the network takes them
  weight-only  and float16: outputs equal ONNX Runtime's (for int8 without its optimizations) within 1e-4 of the largest
  SQNR         against the float outputs: static at least that of ONNX Runtime's quantize_static (QDQ, per channel,
               MinMax; of a transformer only products and tables, with which it does better) with the same data,
               dynamic at least that of its quantize_dynamic
  float nodes  what stays in float is named, with a reason
Exits with 1 if any of it fails.
"""

import argparse
import contextlib
import json
import logging
import math
import os
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np
import onnx
import onnx.version_converter
from onnx import numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import builders  # noqa: E402
import common  # noqa: E402
import layers  # noqa: E402

BATCH, LAYER_SAMPLES = 64, 4
FLOAT_TOLERANCE, LEAST_AGREEMENT, LEAST_EQUAL_OUTPUTS, LEAST_EQUAL_CODES = 1e-4, 0.995, 0.99, 0.999
ENGINE_MARGIN_DB = 6.0
METHODS = {"static": [], "dynamic": ["--method", "dynamic"],
           "dynamic-qdq": ["--method", "dynamic", "--dynamic-form", "qdq"], "weight-only": ["--method", "weight-only"],
           "float16": ["--method", "weight-only", "--weights", "float16"]}
UNMOVED = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Gather"}


def decibels(ratio):
    return math.inf if ratio == 0 else -10 * math.log10(ratio)


def noise_ratio(reference, other):
    """Noise over signal of float outputs, averaged over the outputs."""
    ratios = [np.square(a.astype(np.float64) - b).sum() / np.square(a.astype(np.float64)).sum()
              for a, b in zip(reference, other) if a.dtype == np.float32]
    return float(np.mean(ratios))


def relative_difference(reference, other):
    """Largest difference, as a share of the largest output, over the float outputs; inf where others differ."""
    worst = 0.0
    for a, b in zip(reference, other):
        if a.shape != b.shape or a.dtype != b.dtype:
            return math.inf
        if a.dtype != np.float32:
            worst = max(worst, 0.0 if (a == b).all() else math.inf)
        else:
            worst = max(worst, float(np.abs(a - b).max() / np.abs(a).max()))
    return worst


def agreement(first, second):
    return float((first[0].argmax(1) == second[0].argmax(1)).mean())


def batches(feeds, size):
    count = len(next(iter(feeds.values())))
    return [{n: a[i:i + size] for n, a in feeds.items()} for i in range(0, count, size)]


def joined(parts):
    return [np.concatenate(arrays) for arrays in zip(*parts)]


def ort_outputs(path, feeds, size, optimized=True):
    session = common.ort_session(path, optimized)
    return joined([session.run(None, part) for part in batches(feeds, size)])


class Runner:
    """octet on one network: commands in a folder of its own."""

    def __init__(self, octet, network, folder):
        self.octet, self.network, self.folder = octet, network, pathlib.Path(folder)
        self.batch = network.fixed_batch or BATCH
        self.path = self.folder / f"{network.name}.onnx"
        onnx.save(network.model, str(self.path))
        self.outputs_of_graph = [o.name for o in network.model.graph.output]

    def save_data(self):
        """One .npy, or for several inputs a .npz."""
        feeds = self.network.calibration
        if len(feeds) == 1:
            path = self.folder / "calibration.npy"
            np.save(path, next(iter(feeds.values())))
        else:
            path = self.folder / "calibration.npz"
            np.savez(path, **feeds)
        return path

    def outputs(self, model, feeds, engine, taps=None):
        parts = []
        for part in batches(feeds, self.batch):
            options = ["--taps", taps] if taps else []
            for n, (name, array) in enumerate(part.items()):
                np.save(self.folder / f"in{n}.npy", array)
                options += ["--input", f"{name}={self.folder}/in{n}.npy"]
            target = self.folder / ("out" if len(self.outputs_of_graph) > 1 else "out.npy")
            result = self.octet("run", model, "-o", target, "--engine", engine, *options)
            parts.append([np.load(file) for file in result["files"]])
        return joined(parts)

    def quantize(self, method):
        output = self.folder / f"{method}.onnx"
        data = ["--data", self.save_data()] if method == "static" else []
        return output, self.octet("quantize", self.path, "-o", output, *data, *METHODS[method])


def for_rival(path, output):
    """The model in an opset that ONNX Runtime's quantizer writes well-formed files for."""
    model = onnx.load(str(path))
    if model.opset_import[0].version >= 13:
        return str(path)
    onnx.save(onnx.version_converter.convert_version(model, 17), f"{output}.17")
    return f"{output}.17"


def ort_static(path, output, feeds, op_types=None):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader:
        def __init__(self):
            self.parts = iter(batches(feeds, 1))

        def get_next(self):
            return next(self.parts, None)

    path, prepared = for_rival(path, output), f"{output}.prepared"

    def quantized(**options):
        quant_pre_process(path, prepared, **options)
        quantize_static(prepared, str(output), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        op_types_to_quantize=op_types)

    with contextlib.chdir(os.path.dirname(output)):  # where its shape inference fails, it leaves files there
        try:
            quantized()
        except Exception:  # its shape inference, or what its optimizer made of the graph
            quantized(skip_symbolic_shape=True, skip_optimization=True)


def ort_dynamic(path, output, _, __):
    from onnxruntime.quantization import quantize_dynamic
    quantize_dynamic(for_rival(path, output), str(output))


def output_steps(model):
    """Per output: the scale of the codes it is made of, or None where arithmetic in float comes last."""
    initializers = {t.name: t for t in model.graph.initializer}
    producers = {out: node for node in model.graph.node for out in node.output}
    steps = []
    for output in model.graph.output:
        node = producers.get(output.name)
        while node is not None and node.op_type in UNMOVED:
            node = producers.get(node.input[0])
        coded = node is not None and node.op_type == "DequantizeLinear" and node.input[1] in initializers
        steps.append(float(numpy_helper.to_array(initializers[node.input[1]]).max()) if coded else None)
    return steps


class Network:
    """Everything that is shown of one network; `row` collects the figures."""

    def __init__(self, checks, octet, network, folder, verbose):
        self.checks, self.network, self.verbose = checks, network, verbose
        self.runner = Runner(octet, network, folder)
        self.name, self.path, self.folder = network.name, self.runner.path, pathlib.Path(folder)
        self.x = network.evaluation
        self.row = {"name": self.name, "nodes": len(network.model.graph.node),
                    "opset": network.model.opset_import[0].version, "bytes": {"float": os.path.getsize(self.path)}}
        self.reference = ort_outputs(self.path, self.x, self.runner.batch)

    @property
    def classifies(self):
        return self.network.labels is not None

    def expect(self, good, line):
        self.checks.expect(good, f"{self.name} {line}")

    def attempt(self, what, function):
        """The result, or None after a reported failure."""
        try:
            return function()
        except (SystemExit, Exception) as error:  # octet's failures, the checker's and ONNX Runtime's
            text = str(error).strip().splitlines() or [type(error).__name__]
            self.expect(False, f"{what}: {text[-1][:300]}")
            return None

    def run(self):
        self.attempt("float", self.check_float)
        for method in METHODS:
            self.attempt(method, lambda m=method: self.check_method(m))
        for method, quantize in (("static", ort_static), ("dynamic", ort_dynamic)):
            self.compare_with_ort(method, quantize)
        return self.row

    def check_float(self):
        ours = self.runner.outputs(self.path, self.x, "float")
        self.row["float_difference"] = difference = relative_difference(self.reference, ours)
        self.expect(difference <= FLOAT_TOLERANCE, f"float: largest difference {difference:.1e} of the largest output")

    def check_method(self, method):
        path, report = self.runner.quantize(method)
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        common.ort_session(path, exact=False)  # loads the file as it is
        self.row["bytes"][method] = os.path.getsize(path)
        self.check_float_nodes(method, report)
        integer = method in ("static", "dynamic", "dynamic-qdq")
        # Optimized, ONNX Runtime quantizes the activations too where int8 weights meet a MatMul (MatMulNBits).
        theirs = ort_outputs(path, self.x, self.runner.batch, optimized=method != "weight-only")
        ours = self.runner.outputs(path, self.x, "integer" if integer else "float")
        self.row[f"{method}_sqnr"] = sqnr = decibels(noise_ratio(self.reference, ours))
        self.row[f"{method}_ort_engine_sqnr"] = decibels(noise_ratio(self.reference, theirs))
        if self.classifies:
            self.row[f"{method}_top1_kept"] = agreement(self.reference, ours)
        if not integer:
            difference = relative_difference(theirs, ours)
            self.expect(difference <= FLOAT_TOLERANCE,
                        f"{method}: SQNR {sqnr:.1f} dB; largest difference to ONNX Runtime {difference:.1e}")
            return
        self.check_engines(method, model, ours, theirs, sqnr)
        if self.network.other is not None:
            self.check_other_shape(method, path)
        if method == "static":
            self.check_layers(path)

    def check_other_shape(self, method, path):
        """Inputs of another size than those of calibration."""
        reference = ort_outputs(self.path, self.network.other, self.runner.batch)
        ours = self.runner.outputs(path, self.network.other, "integer")
        theirs = ort_outputs(path, self.network.other, self.runner.batch)
        sqnr, between = decibels(noise_ratio(reference, ours)), decibels(noise_ratio(theirs, ours))
        if method == "static":  # open extents are what its speed measurement has to cope with
            self.runner.octet("compare", self.path, path, "--data", self.runner.save_data(), "--samples", 8)
        self.expect(between >= sqnr + ENGINE_MARGIN_DB,
                    f"{method} with inputs of another size: engines apart by {between:.0f} dB, float by {sqnr:.1f} dB")

    def check_float_nodes(self, method, report):
        nodes = report["float_nodes"]
        self.row[f"{method}_integer_share"] = report["integer_mac_share"]
        self.row[f"{method}_float_nodes"] = [f"{n['name']} ({n['op']}): {n['reason']}" for n in nodes]
        self.row[f"{method}_float_ops"] = sorted({n["op"] for n in nodes})
        self.expect(all(n["reason"] for n in nodes),
                    f"{method}: {100 * report['integer_mac_share']:.1f} % of the multiply-accumulates in integers, "
                    f"{len(nodes)} nodes in float: {', '.join(self.row[f'{method}_float_ops']) or 'none'}")

    def check_engines(self, method, model, ours, theirs, sqnr):
        """Octet's integer engine against ONNX Runtime on the same file."""
        between = decibels(noise_ratio(theirs, ours))
        good, text = between >= sqnr + ENGINE_MARGIN_DB, f"engines apart by {between:.0f} dB, float by {sqnr:.1f} dB"
        if self.classifies:
            self.row[f"{method}_top1_equal"] = share = agreement(theirs, ours)
            good, text = good and share >= LEAST_AGREEMENT, text + f"; the same class on {100 * share:.2f} %"
        for n, step in enumerate(output_steps(model) if method == "static" else []):
            if step is None:
                continue
            delta = np.abs(ours[n] - theirs[n]) / step
            share, largest = float((delta < 0.5).mean()), float(delta.max())
            self.row.setdefault("output_equal", []).append([share, largest])
            good, text = good and share >= LEAST_EQUAL_OUTPUTS, text + (
                f"; output {n} equal {100 * share:.3f} %, largest difference {largest:.0f} steps")
        self.row[f"{method}_engines_db"] = between
        self.expect(good, f"{method} octet against ONNX Runtime: {text}")

    def check_layers(self, path):
        feeds = {n: a[:self.network.fixed_batch or LAYER_SAMPLES] for n, a in self.x.items()}
        taps = self.folder / "taps"
        self.runner.outputs(path, feeds, "integer", taps)
        differences, missing = layers.compare_layers(path, feeds, taps, True)
        values, different = (sum(getattr(d, key) for d in differences) for key in ("values", "different"))
        largest = max((d.largest for d in differences), default=0)
        bad = [d for d in differences if d.largest > 1 or d.different > (1 - LEAST_EQUAL_CODES) * d.values]
        self.row["layers"] = {"pieces": len(differences), "missing": len(missing), "values": values,
                              "different": different, "largest": largest}
        self.expect(not bad and (differences or not missing),
                    f"layers: {len(differences)} compared, {different:,} of {values:,} values differ, largest {largest}; "
                    f"{len(missing)} pieces not made by octet as such")
        for d in differences if self.verbose else bad:
            print(f"       {d.label}: {d.different:,} of {d.values:,} differ, largest {d.largest}")
        for label in missing if self.verbose else []:
            print(f"       not compared: {label}")

    def compare_with_ort(self, method, quantize):
        output = self.folder / f"ort_{method}.onnx"
        try:
            quantize(self.path, output, self.network.calibration, self.network.rival_ops)
            theirs = decibels(noise_ratio(self.reference, ort_outputs(output, self.x, self.runner.batch)))
        except Exception as error:
            print(f"     {self.name} {method}: ONNX Runtime's quantizer: {str(error).splitlines()[0][:200]}")
            return
        self.row["bytes"][f"ort_{method}"] = os.path.getsize(output)
        self.row[f"ort_{method}_sqnr"] = theirs
        ours = self.row.get(f"{method}_sqnr")
        if ours is not None:
            sizes = [self.row["bytes"][key] for key in ("float", method, f"ort_{method}")]
            self.expect(ours >= theirs, f"{method} SQNR: {ours:.1f} dB, ONNX Runtime's {theirs:.1f} dB; "
                        f"bytes: float {sizes[0]:,}, octet {sizes[1]:,}, ONNX Runtime {sizes[2]:,}")


def cell(row, key, form):
    return form.format(row[key]) if row.get(key) is not None else "-"


def print_table(rows):
    head = ("network", "opset", "float diff", "static dB", "ORT", "dynamic", "ORT", "w-only", "f16", "top-1 = ORT",
            "codes differ", "int MACs", "kB", "static", "ORT", "dynamic", "ORT")
    table = [head]
    for row in rows:
        found = row.get("layers", {})
        size = {k: f"{v / 1000:.0f}" for k, v in row["bytes"].items()}
        table.append((row["name"], str(row["opset"]), cell(row, "float_difference", "{:.0e}"),
                      cell(row, "static_sqnr", "{:.1f}"), cell(row, "ort_static_sqnr", "{:.1f}"),
                      cell(row, "dynamic_sqnr", "{:.1f}"), cell(row, "ort_dynamic_sqnr", "{:.1f}"),
                      cell(row, "weight-only_sqnr", "{:.1f}"), cell(row, "float16_sqnr", "{:.1f}"),
                      cell(row, "static_top1_equal", "{:.1%}"),
                      f"{found['different']} of {found['values']}" if found else "-",
                      cell(row, "static_integer_share", "{:.1%}"),
                      *(size.get(k, "-") for k in ("float", "static", "ort_static", "dynamic", "ort_dynamic"))))
    widths = [max(len(line[n]) for line in table) for n in range(len(head))]
    for line in table:
        print("  ".join(text.ljust(w) if n == 0 else text.rjust(w) for n, (text, w) in enumerate(zip(line, widths))))


def check_networks(checks, octet, only=(), verbose=False, keep=None):
    """Runs all checks on `checks` (an object with expect); the rows of figures."""
    unknown = set(only) - set(builders.BUILDERS)
    if unknown:
        raise SystemExit(f"unknown network {', '.join(sorted(unknown))}; known: {', '.join(builders.BUILDERS)}")
    logging.disable(logging.WARNING)  # ONNX Runtime's quantizer speaks of each node
    rows = []
    for name, build in builders.BUILDERS.items():
        if only and name not in only:
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            rows.append(Network(checks, octet, build(), folder, verbose).run())
            if keep:
                shutil.copytree(folder, pathlib.Path(keep) / name, dirs_exist_ok=True)
        rows[-1]["seconds"] = time.perf_counter() - started
    print_table(rows)
    return rows


def main():
    import run
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--json", help="file for all figures")
    parser.add_argument("--keep", help="folder for the models and data")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    checks = run.Checks()
    rows = check_networks(checks, common.Octet(options.octet), options.only, options.verbose, options.keep)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))
    print(f"networks: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
