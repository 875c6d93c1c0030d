"""Static int8 .tflite files of whole networks, with int8 borders, in LiteRT and in octet: every output code equal by both
rules, from both targets. Part of tflite_convert.py, which builds the networks.

Where float operators stand between codes their f32 results may differ in the last bits, and a code that is made of them by
one step: LIMITS names those networks, the operators that stay float, and how far the outputs may be apart. Of their
files each operator is also run alone, fed what LiteRT had (tflite_fed.py): there no code may differ.
"""
import numpy as np

import common
import litert
import tflite_fed

RULES = {"tflite": "reference", "xnnpack": "xnnpack"}
TARGETS = ("tflite", "tflite-micro")
# Network, rule: (operators, share of the codes that may differ, largest difference): a fifth more than was measured. Without
# AVX-512 last bits of floats are others.
FLOATS = "MEAN, SQRT, SOFTMAX"
LIMITS = {("encoder", "tflite"): (FLOATS, .069, 11), ("encoder", "xnnpack"): (FLOATS, .0004, 3),
          ("encoder_dynamo", "tflite"): (FLOATS, .035, 5), ("encoder_dynamo", "xnnpack"): (FLOATS, .0004 if common.AVX512 else .0007, 3)}


def coded(feed, detail):
    """A model's input as its file wants it."""
    if detail["dtype"] != np.int8:
        return feed.astype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    return np.clip(np.rint(feed / scale) + zero_point, -128, 127).astype(np.int8)


def litert_outputs(path, inputs, kernels, batch):
    parts = []
    for i in range(0, len(inputs[0]), batch):
        parts.append(litert.run(path, [x[i:i + batch] for x in inputs], kernels))
    return [np.concatenate(outputs) for outputs in zip(*parts)]


def octet_outputs(octet, path, names, inputs, rule, batch, folder, count):
    parts = []
    for i in range(0, len(inputs[0]), batch):
        options = []
        for n, (name, x) in enumerate(zip(names, inputs)):
            np.save(folder / f"in{n}.npy", x[i:i + batch])
            options += ["--input", f"{name}={folder}/in{n}.npy"]
        target = folder / ("int8_out" if count > 1 else "int8_out.npy")
        files = octet("run", path, "-o", target, "--rule", rule, *options)["files"]
        parts.append([np.load(file) for file in files])
    return [np.concatenate(outputs) for outputs in zip(*parts)]


def check(checks, octet, name, model, calibration, feeds, batch, folder):
    """calibration, feeds: {input: samples}; batch: samples at once."""
    data = folder / "calibration.npz"
    np.savez(data, **calibration)
    for target in TARGETS:
        path = folder / f"{name}_{target}_int8.tflite"
        octet("quantize", model, "-o", path, "--target", target, "--data", data, "--io", "int8")
        details = litert.interpreter(path, "reference", allocate=False).get_input_details()
        names = [d["name"] for d in details]
        inputs = [coded(feeds[d["name"]], d) for d in details]
        for rule, kernels in RULES.items():
            operators, most, furthest = LIMITS.get((name, rule), ("", 0, 0))
            theirs = litert_outputs(path, inputs, kernels, batch)
            ours = octet_outputs(octet, path, names, inputs, rule, batch, folder, len(theirs))
            same_form = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))
            apart = [np.abs(a.astype(np.int64) - b) for a, b in zip(ours, theirs)] if same_form else []
            values, different = sum(a.size for a in theirs), sum(int((d > 0).sum()) for d in apart)
            largest = max((int(d.max()) for d in apart), default=-1)
            cause = f", by up to {largest} ({operators})" if operators else ""
            checks.expect(same_form and different <= most * values and largest <= furthest,
                          f"{name} int8, {target}, rule {rule}: {different:,} of {values:,} output values differ{cause}")
            if operators:
                ran, unlike = tflite_fed.different_operators(octet, path, [x[:batch] for x in inputs], rule, kernels, folder)
                checks.expect(not unlike, f"{name} int8, {target}, rule {rule}: of {ran} operators fed alike {len(unlike)} differ"
                              + ("".join(f", {op}" for op in unlike)))
