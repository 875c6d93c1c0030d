#!/usr/bin/env python3
"""Parity of octet's rule openvino with OpenVINO's CPU plugin, on the bundled models and those of ../shared.

    tests/parity/openvino_parity.py OCTET [MODEL...] [--images N] [--layer-images N] [--networks] [--speed]

Needs the openvino package (scripts/setup.sh --openvino); without it the script says so and ends with 0.
For each model, quantized with --target openvino:
  layers    the quantized values of the whole model on the same images, read from OpenVINO by additional outputs: no
            code more than 1 apart, and at least 99.9 % equal over all of them
  top-1     on all evaluation images, model as it is: equal on at least 99.5 %
  runs      the convolutions and matrix products run in int8 in OpenVINO
With --networks also those of builders/, quantized with 64 samples: the same class on 98 % of the samples, and both
engines equally far from the float outputs (SQNR within 0.5 dB); needs scikit-learn.
With --speed also medians of OpenVINO's latency on one thread for the files of both targets.
Exits with 1 if any of it fails.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import onnx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import common  # noqa: E402
from run import Checks  # noqa: E402

try:
    import openvino
except ImportError:
    openvino = None

LEAST_AGREEMENT, LEAST_EQUAL = 0.995, 0.999
QUANTIZE = "QuantizeLinear"


def compile_model(source):
    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}
    model = core.read_model(source if isinstance(source, bytes) else str(source))
    return core.compile_model(model, "CPU", options)


def outputs(compiled, x, batch=1):
    """All outputs for the inputs x, by name. OpenVINO gets copies: it may compute in the memory of an input."""
    results = {}
    for start in range(0, len(x), batch):
        made = compiled([x[start:start + batch].copy()])
        for output in compiled.outputs:
            results.setdefault(output.get_any_name(), []).append(np.array(made[output]))
    return {name: np.concatenate(parts) for name, parts in results.items()}


def kinds(compiled):
    """(operator, precision) of the executed graph."""
    info = (op.get_rt_info() for op in compiled.get_runtime_model().get_ordered_ops())
    return [(i["layerType"].astype(str), i["runtimePrecision"].astype(str)) for i in info]


def with_codes_as_outputs(path):
    """The model with the result of every QuantizeLinear of an activation as an output of its own; {name: value}.

    Values that an Add reads are left out: OpenVINO computes the sum in their place, inside the convolution, and as
    outputs they would force it to compute otherwise. Their readers show whether they are right.
    """
    model = onnx.load(str(path))
    constants = {t.name for t in model.graph.initializer}
    quantized = {n.output[0]: n for n in model.graph.node if n.op_type == QUANTIZE and n.input[0] not in constants}
    added = {i for n in model.graph.node if n.op_type == "Add" for i in n.input}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.output[0] in added:
            quantized.pop(node.input[0], None)
    types = {t.name: t.data_type for t in model.graph.initializer}
    for name, node in quantized.items():
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, types[node.input[2]], None))
    return model.SerializeToString(), {name: node.input[0] for name, node in quantized.items()}, model


def octet_codes(folder, model, names):
    """{name of the code tensor: u8 codes} that octet's taps hold."""
    entries = json.loads((pathlib.Path(folder) / "index.json").read_text())
    files = {e["name"]: e["file"] for e in entries if e["dtype"] == "i8"}
    behind = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            behind.setdefault(node.input[0], []).append(node.output[0])
    found = {}
    for code, value in names.items():
        name = next((n for n in [value, code, *behind.get(code, [])] if n in files), None)
        if name is not None:
            codes = np.load(pathlib.Path(folder) / files[name])
            found[code] = (codes.astype(np.int16) + 128).astype(np.uint8)
    return found


def check_runs(checks, model, compiled, may_be_float=0):
    heavy = [(op, precision) for op, precision in kinds(compiled)
             if op in ("Convolution", "FullyConnected", "MatMul", "Deconvolution")]
    wide = [entry for entry in heavy if entry[1] not in ("u8", "i8")]
    checks.expect(heavy and len(wide) <= may_be_float, f"{model.name} runs: {len(heavy) - len(wide)} of {len(heavy)} "
                                      "convolutions and matrix products in int8")


def check_layers(checks, octet, model, int8, x, folder, verbose):
    taps = f"{folder}/taps"
    octet.outputs(int8, x, "integer", batch=len(x), taps=taps)
    tapped, names, parsed = with_codes_as_outputs(int8)
    ours = octet_codes(taps, parsed, names)
    theirs = outputs(compile_model(tapped), x)
    values = different = 0
    largest, first = 0, ""
    for code in names:
        if code not in ours:
            continue
        delta = np.abs(theirs[code].astype(np.int16) - ours[code].reshape(theirs[code].shape).astype(np.int16))
        count = int((delta > 0).sum())
        values, different, largest = values + delta.size, different + count, max(largest, int(delta.max()))
        if count and not first:
            first = f", first at {names[code]} ({count} of {delta.size})"
        if verbose and count:
            print(f"       {names[code]}: {count:,} of {delta.size:,} differ, largest {delta.max()}")
    checks.expect(values and different <= (1 - LEAST_EQUAL) * values and largest <= 1,
                  f"{model.name} layers: {len(ours)} of {len(names)} quantized values compared, {different:,} of "
                  f"{values:,} codes differ, largest {largest}{first}")


def check_top1(checks, octet, model, int8, compiled, x, labels):
    ours = octet.outputs(int8, x, "integer")
    theirs = next(iter(outputs(compiled, x).values())).reshape(ours.shape)
    agreement = (ours.argmax(1) == theirs.argmax(1)).mean()
    checks.expect(agreement >= LEAST_AGREEMENT,
                  f"{model.name} top-1 equals OpenVINO's on {100 * agreement:.2f} % of {len(x)}; top-1 "
                  f"{100 * (ours.argmax(1) == labels).mean():.2f} % and {100 * (theirs.argmax(1) == labels).mean():.2f} %; "
                  f"outputs: {100 * (ours == theirs).mean():.2f} % equal, largest difference "
                  f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.1e} of the largest")
    return theirs


def check_network(checks, octet, name, build, folder):
    import networks
    network = build()
    runner = networks.Runner(octet, network, folder)
    int8 = f"{folder}/int8.onnx"
    octet("quantize", runner.path, "-o", int8, "--data", runner.save_data(), "--target", "openvino")
    compiled, parts = compile_model(int8), []
    for part in networks.batches(network.evaluation, runner.batch):
        made = compiled({key: value.copy() for key, value in part.items()})
        parts.append([np.array(made[output]) for output in runner.outputs_of_graph])
    theirs = networks.joined(parts)
    ours = runner.outputs(int8, network.evaluation, "integer")
    floats = runner.outputs(runner.path, network.evaluation, "float")
    for output, a, b, wanted in zip(runner.outputs_of_graph, ours, theirs, floats):
        a, b, wanted = (v.reshape(len(v), -1).astype(np.float64) for v in (a, b, wanted))
        sqnr = [10 * np.log10((wanted**2).sum() / max(((v - wanted)**2).sum(), 1e-30)) for v in (a, b)]
        agreement = (a.argmax(1) == b.argmax(1)).mean()
        checks.expect(agreement >= 0.98 and abs(sqnr[0] - sqnr[1]) <= 0.5,
                      f"{name} {output}: same class on {100 * agreement:.1f} %, {100 * (a == b).mean():.2f} % of values "
                      f"equal, largest difference {np.abs(a - b).max() / np.abs(b).max():.1e} of the largest, "
                      f"SQNR {sqnr[0]:.1f} and {sqnr[1]:.1f} dB")
    # A ConvTranspose stays float.
    transposed = sum(node.op_type == "ConvTranspose" for node in network.model.graph.node)
    check_runs(checks, network, compiled, transposed)


def check_networks(checks, octet):
    import builders
    for name, build in builders.BUILDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            check_network(checks, octet, name, build, folder)


def median_ms(compiled, x, seconds=3.0):
    request, times, x = compiled.create_infer_request(), [], x.copy()
    for _ in range(10):
        request.infer([x])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        request.infer([x])
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def compare_targets(octet, model, int8, x, labels, folder):
    """For information: OpenVINO on the files of both targets."""
    other = pathlib.Path(folder) / "onnxruntime.onnx"
    octet.quantize(model, other)
    for name, path in (("onnxruntime", other), ("openvino", int8)):
        compiled = compile_model(path)
        made = next(iter(outputs(compiled, x).values()))
        top1 = (made.reshape(len(x), -1).argmax(1) == labels).mean()
        print(f"     {model.name}, target {name} in OpenVINO: top-1 {100 * top1:.2f} %, "
              f"median {median_ms(compiled, x[:1]):.3f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--images", type=int, default=0, help="evaluation images for top-1 (0: all)")
    parser.add_argument("--layer-images", type=int, default=8)
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if openvino is None:
        print("openvino parity: skipped, the package openvino is not installed")
        return
    octet, checks = common.Octet(options.octet), Checks()
    print(f"OpenVINO {openvino.__version__}")
    for model in common.models(options.models):
        x, labels = common.load(model.evaluation, model.recipe, options.images)
        with tempfile.TemporaryDirectory() as folder:
            int8 = pathlib.Path(folder) / "int8.onnx"
            octet.quantize(model, int8, "--target", "openvino")
            compiled = compile_model(int8)
            check_runs(checks, model, compiled)
            step = max(1, len(x) // options.layer_images)
            check_layers(checks, octet, model, int8, x[::step][:options.layer_images], folder, options.verbose)
            check_top1(checks, octet, model, int8, compiled, x, labels)
            if options.speed:
                compare_targets(octet, model, int8, x, labels, folder)
    if options.networks:
        check_networks(checks, octet)
    print(f"openvino parity: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
