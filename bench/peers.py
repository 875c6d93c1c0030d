#!/usr/bin/env python3
"""Latency of batch 1, int8: octet and the runtimes that people deploy, interleaved in one run.

    bench/peers.py OCTET [MODEL...] [--rounds 5] [--seconds 0.5] [--threads 1 2] [--json FILE] [--exact]

A round measures every runtime once, in turn; a figure is the median over the rounds of the medians within one, and the
ratio is octet over the fastest peer of the same round: median, least and largest. Every runtime has the file that octet
made for it: ONNX Runtime and OpenVINO the .onnx of their target, LiteRT (XNNPACK) the .tflite. `f32` is ONNX Runtime with
the float model; its column says how many times octet is faster than it. Needs onnxruntime, openvino and ai-edge-litert;
a runtime that is not installed has no column. Besides the models of ../shared, MODEL may be an architecture of
architectures.py, with random weights (--all: those too). --exact: beside the runtimes that compute exactly on any CPU,
ONNX Runtime told to and LiteRT (without VNNI, ONNX Runtime and OpenVINO saturate sums of two products). Idle machine only.
"""

import argparse
import functools
import importlib.util
import json
import pathlib
import statistics
import tempfile
import time

import numpy as np

import architectures
import common

TINY = common.SHARED / "models/mlperf_tiny"


def onnxruntime_call(path, threads, exact=False):
    session = common.ort_session(path, threads=threads, exact=exact)
    source = session.get_inputs()[0]
    feed = {source.name: np.random.default_rng(0).uniform(-1, 1, [1, *source.shape[1:]]).astype(np.float32)}
    return lambda: session.run(None, feed)


def openvino_call(path, threads):
    import openvino
    model = openvino.Core().read_model(str(path))
    shape = [1, *(d.get_length() for d in list(model.inputs[0].partial_shape)[1:])]
    model.reshape(shape)
    compiled = openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    return lambda: request.infer([x], share_inputs=True)


def litert_call(path, threads):
    from ai_edge_litert.interpreter import Interpreter
    runner = Interpreter(model_path=str(path), num_threads=threads)
    runner.allocate_tensors()
    source = runner.get_input_details()[0]
    random = np.random.default_rng(0)
    floats = source["dtype"] == np.float32
    x = random.uniform(-1, 1, source["shape"]) if floats else random.integers(-128, 128, source["shape"])
    runner.set_tensor(source["index"], x.astype(source["dtype"]))
    return runner.invoke


PEERS = {"ORT": ("onnxruntime", onnxruntime_call), "OpenVINO": ("openvino", openvino_call),
         "LiteRT": ("ai_edge_litert", litert_call)}


def files_of(octet, folder, name):
    """{runtime: file} of a model, "octet" and "f32" among them."""
    tiny = TINY / f"{name}.tflite"
    if tiny.exists():
        return {"octet": tiny, "LiteRT": tiny}
    if name in architectures.BUILDERS:
        path, data = architectures.BUILDERS[name](folder)
        options = ["--data", data]
    else:
        model = common.models([name])[0]
        path, options = model.path, model.data_options
    made = {target: folder / f"{name}_{target}{suffix}" for target, suffix in
            (("onnxruntime", ".onnx"), ("openvino", ".onnx"), ("tflite", ".tflite"))}
    for target, output in made.items():
        octet("quantize", path, "-o", output, "--target", target, *options)
    return {"octet": made["onnxruntime"], "ORT": made["onnxruntime"], "OpenVINO": made["openvino"],
            "LiteRT": made["tflite"], "f32": path}


def peers_of(options):
    if not options.exact:
        return PEERS
    return {"ORT": ("onnxruntime", functools.partial(onnxruntime_call, exact=True)), "LiteRT": PEERS["LiteRT"]}


def calls_of(octet, files, threads, options):
    """{runtime: function that measures it once, in ms}."""
    def octet_ms():
        return octet("bench", files["octet"], "--threads", threads, "--seconds", options.seconds)["median_ms"]
    calls = {"octet": octet_ms}
    for name, (package, make) in peers_of(options).items():
        if name in files and importlib.util.find_spec(package):
            call = make(files[name], threads)
            calls[name] = lambda call=call: common.median_ms(call, options.seconds)
    if "f32" in files:
        call = onnxruntime_call(files["f32"], threads)
        calls["f32"] = lambda: common.median_ms(call, options.seconds)
    return calls


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def measure(octet, files, threads, options):
    calls = calls_of(octet, files, threads, options)
    rounds = []
    for _ in range(options.rounds):
        rounds.append({})
        for name, call in calls.items():
            rounds[-1][name] = call()
            time.sleep(0.05)  # lets the pool of the runtime before stop spinning
    peers = [name for name in PEERS if name in calls]
    row = {name: statistics.median(r[name] for r in rounds) for name in calls}
    row["ratios"] = [r["octet"] / min(r[p] for p in peers) for r in rounds]
    row["gains"] = [r["f32"] / r["octet"] for r in rounds] if "f32" in calls else []
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--exact", action="store_true")
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    names = options.models or ["resnet20", "resnet56", "mobilenet_v1_075_224", "mobilenet_v2_100_224"] + sorted(
        path.stem for path in TINY.glob("*_int8.tflite"))
    names += [name for name in architectures.BUILDERS if options.all and name not in names]
    columns = ["octet", *PEERS, "f32"]
    print(f"{'model':24}{'threads':>8}" + "".join(f"{c:>10}" for c in columns) + "  ms   octet / fastest peer   f32 / octet")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            files = files_of(octet, pathlib.Path(folder), name)
            for threads in options.threads:
                row = measure(octet, files, threads, options)
                rows.append({"model": name, "threads": threads, **row})
                cells = "".join(f"{row[c]:10.4f}" if c in row else f"{'-':>10}" for c in columns)
                gain = spread(row["gains"]) if row["gains"] else "-"
                print(f"{name:24}{threads:8}{cells}       {spread(row['ratios']):22} {gain}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
