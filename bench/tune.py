#!/usr/bin/env python3
"""octet tune: what it reaches in which time, beside NNCF, and fronts of size and latency against accuracy.

    bench/tune.py OCTET per-tensor                    MobileNetV1, one scale for all weights of a layer, drop of at most 0.2 points
    bench/tune.py OCTET nncf --peers VENV             MobileNetV1, weights per channel, against quantize_with_accuracy_control
    bench/tune.py OCTET fronts [MODEL ...]            ResNet-20 and MobileNetV1; the ends of each front made again by their commands
    bench/tune.py OCTET resume [--kill SECONDS]       MobileNetV1 per-tensor, a target out of reach: what limits it; killed (after
                                                      SECONDS of processor time, each time half as long again) and resumed:
                                                      the same bytes?

--drop changes the target in points; --samples the calibration samples (200), --val-samples those to judge by. VENV is a virtual environment with nncf,
openvino, onnx and Pillow; NNCF ends after --limit seconds (600).
"""

import argparse
import json
import pathlib
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import common


def data_options(model, options):
    judged = ["--val-samples", options.val_samples] if options.val_samples else []
    return ["--data", model.calibration, "--recipe", model.recipe, "--samples", options.samples,
            "--val", model.evaluation, *judged]


def tune(octet, model, output, options, *more):
    """The summary, for a target that was reached or not."""
    command = octet.command("tune", model.path, *data_options(model, options), "-o", output, *more, "--json", "--quiet")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def show(title, summary):
    print(f"\n{title}: {summary['metric']} of float {100 * summary['float_value']:.2f}, {summary['count']} samples")
    print("| step | value % | drop (95 %) | output error | bytes | s |\n|---|---|---|---|---|---|")
    for t in summary["trials"]:
        if "error" in t:
            print(f"| {t['step']} | failed: {t['error']} |")
            continue
        print(f"| {t['step']} | {100 * t['value']:.2f} | {t['drop']:.2f} ({t['drop_low']:.2f} to {t['drop_high']:.2f}) "
              f"| {t['output_error']:.4f} | {t['bytes']} | {t['seconds']:.1f} |")
    verdict = "reached" if summary["reached"] else f"missed, limited by {summary['limit']}"
    print(f"{verdict}: {summary['best']['step']}, {100 * summary['best']['value']:.2f} %, {summary['seconds']:.1f} s\n"
          f"{summary['best']['command']}", flush=True)


def per_tensor(octet, options):
    model, = common.models(["mobilenet_v1_075_224"])
    with tempfile.TemporaryDirectory() as folder:
        drop = 0.2 if options.drop is None else options.drop
        show(f"{model.name} per-tensor, drop of at most {drop}",
             tune(octet, model, f"{folder}/out.onnx", options, "--per-tensor", "--max-drop", drop))


NNCF = """
import json, sys, time
import nncf, numpy as np, openvino as ov
path, arrays, drop, output = sys.argv[1:]
data = np.load(arrays)
core = ov.Core()
model = core.read_model(path)
name = model.inputs[0].any_name
def accuracy(compiled, items):
    hits = [float(np.argmax(compiled({name: x})[0].reshape(-1)) == y) for x, y in items]
    return sum(hits) / len(hits), hits
calibration = nncf.Dataset([x[None] for x in data["x"]], lambda x: {name: x})
validation = nncf.Dataset([(x[None], int(y)) for x, y in zip(data["vx"], data["vy"])])
start = time.time()
tuned = nncf.quantize_with_accuracy_control(model, calibration, validation, accuracy, max_drop=float(drop) / 100,
                                            subset_size=len(data["x"]))
seconds = time.time() - start
items = [(x[None], int(y)) for x, y in zip(data["vx"], data["vy"])]
print(json.dumps({"seconds": seconds, "top1": accuracy(core.compile_model(tuned, "CPU"), items)[0],
                  "float": accuracy(core.compile_model(model, "CPU"), items)[0]}))
"""


def nncf(model, options, drop, folder):
    """Its time and accuracy, or how long it ran without an end."""
    import numpy as np
    x, _ = common.load(model.calibration, model.recipe, options.samples)
    vx, vy = common.load(model.evaluation, model.recipe, options.val_samples)
    np.savez(f"{folder}/data.npz", x=x, vx=vx, vy=vy)
    pathlib.Path(f"{folder}/peer.py").write_text(NNCF)
    command = [f"{options.peers}/bin/python", f"{folder}/peer.py", str(model.path), f"{folder}/data.npz", str(drop), f"{folder}/nncf"]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.limit)
    except subprocess.TimeoutExpired:
        return f"no result after {time.perf_counter() - start:.0f} s"
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1]}"
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return f"{100 * result['top1']:.2f} % (float {100 * result['float']:.2f}) in {result['seconds']:.1f} s"


def against_nncf(octet, options):
    model, = common.models(["mobilenet_v1_075_224"])
    drop = 0.5 if options.drop is None else options.drop
    with tempfile.TemporaryDirectory() as folder:
        for target in ("onnxruntime", "openvino"):
            show(f"{model.name} per-channel for {target}, drop of at most {drop}",
                 tune(octet, model, f"{folder}/out.onnx", options, "--per-channel", "--target", target, "--max-drop", drop))
        if options.peers:
            print(f"\nNNCF quantize_with_accuracy_control: {nncf(model, options, drop, folder)}")


def made_again(octet, model, trial, folder, options):
    """Whether the trial's command gives what the search had: bytes of the file, accuracy and distance from the float model."""
    command = shlex.split(trial["command"])
    command[command.index("-o") + 1] = f"{folder}/again.onnx"
    octet(*command[1:])
    judged = ["--samples", options.val_samples] if options.val_samples else []
    found = octet("compare", model.path, f"{folder}/again.onnx", "--data", model.evaluation, "--recipe", model.recipe, *judged,
                  "--no-speed", "--layers", "none")
    return (found["second"]["bytes"] == trial["bytes"] and found["second"]["top1"] == trial["value"]
            and abs(found["kl"] - trial["output_error"]) <= 1e-9 * trial["output_error"])


def fronts(octet, options):
    for model in common.models(options.models or ["resnet20", "mobilenet_v1_075_224"]):
        with tempfile.TemporaryDirectory() as folder:
            summary = tune(octet, model, f"{folder}/out.onnx", options, "--max-drop", 100, "--pareto", f"{folder}/front.json")
            for side in ("size", "latency"):
                front = summary["fronts"][side]
                print(f"\n{model.name}: {side} against accuracy (float {100 * summary['float_value']:.2f} %, "
                      f"{summary['count']} samples)\n| bytes | ms | top-1 % | drop | options |\n|---|---|---|---|---|")
                for t in front:
                    made = t["command"].split(" -o ")[1].split(" ", 1)
                    print(f"| {t['bytes']} | {t['median_ms']:.3f} | {100 * t['value']:.2f} | {t['drop']:.2f} "
                          f"| `{made[1] if len(made) > 1 else ''}` |", flush=True)
                for t in (front[0], front[-1]):
                    same = made_again(octet, model, t, folder, options)
                    print(f"{t['bytes']} bytes made again: {'the same' if same else 'ANOTHER MODEL'}", flush=True)
        print(f"{len(summary['trials'])} trials, {summary['seconds']:.0f} s")


def run_limited(command, seconds):
    """Exit code of a process that is killed (kill -9) once it has taken so many seconds of processor time."""
    limit = (int(seconds), int(seconds))
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, limit)).returncode


def resume(octet, options):
    model, = common.models(["mobilenet_v1_075_224"])
    fixed = ["--per-tensor", "--max-drop", "-100", "--no-training"]
    with tempfile.TemporaryDirectory() as folder:
        show(f"{model.name} per-tensor, more than the float model asked for",
             tune(octet, model, f"{folder}/whole.onnx", options, *fixed))
        command = octet.command("tune", model.path, *data_options(model, options), "-o", f"{folder}/resumed.onnx", *fixed, "--resume", "--quiet")
        killed, limit = 0, options.kill
        while (code := run_limited(command, limit)) == -signal.SIGKILL:
            killed, limit = killed + 1, limit * 1.5
        same = pathlib.Path(f"{folder}/whole.onnx").read_bytes() == pathlib.Path(f"{folder}/resumed.onnx").read_bytes()
        print(f"killed {killed} times, exit code {code}: {'the same bytes' if same else 'OTHER BYTES'}")
        sys.exit(not same or code != 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("part", choices=["per-tensor", "nncf", "fronts", "resume"])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--drop", type=float)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--val-samples", type=int, default=0)
    parser.add_argument("--peers", default="")
    parser.add_argument("--limit", type=float, default=600)
    parser.add_argument("--kill", type=float, default=20)
    options = parser.parse_args()
    octet = common.Octet(options.octet)
    parts = {"per-tensor": per_tensor, "nncf": against_nncf, "fronts": fronts, "resume": resume}
    parts[options.part](octet, options)


if __name__ == "__main__":
    main()
