#!/usr/bin/env python3
"""`octet convert` to .tflite on the networks that people bring (builders/) and on the bundled models, against LiteRT.

    tests/parity/tflite_convert.py OCTET [--only NAME]... [--keep FOLDER]

For each float model:
  outputs     of the written file in LiteRT, with the reference kernels and with XNNPACK, equal ONNX Runtime's on the
              ONNX file within 1e-5 of the largest output; with inputs of another size too where the network takes them.
              A float .tflite is compared with itself in LiteRT before, and with what octet writes of it as ONNX
  transposes  a classifier has one at its input, none with --input-layout nhwc
  fixpoint    read and written again the file is the same bytes; so are the files of each kind that octet quantizes the
              network to (VARIANTS), calibrated with the few samples that the outputs are compared on
  int8        of the networks, quantized for both targets: the codes of octet and LiteRT (tflite_int8.py)
Networks that cannot be expressed are refused, naming the node: the list is REFUSED below.
Exits with 1 if any of it fails.
"""

import argparse
import collections
import contextlib
import pathlib
import pickle
import sys
import tempfile

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import builders  # noqa: E402
import common  # noqa: E402
import litert  # noqa: E402
import tflite_int8  # noqa: E402
from run import Checks  # noqa: E402

TOLERANCE, SAMPLES, CODED_SAMPLES = 1e-5, 4, 8
KERNELS = ("reference", "xnnpack")
CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
# The node that has no equivalent, and why.
REFUSED = {"lstm": "(LSTM)"}
# Networks whose images need one TRANSPOSE, at the input: the others have images as outputs or no images.
CLASSIFIERS = {"squeezenet", "densenet", "efficientnet", "mobilenetv3", "mobilenetv3_ts", "resnext", "resnet20",
               "resnet20_bn", "resnet56", "mobilenet_v1_075_224", "mobilenet_v2_100_224", "ssd"}

# Kinds of quantized files; static ones need data.
STATIC = {"static": [], "static_io8": ["--io", "int8"], "static_16x8": ["--activations", "int16"],
          "micro": ["--target", "tflite-micro"]}
WITHOUT_DATA = {"dynamic": ["--method", "dynamic"], "weight_only": ["--method", "weight-only"],
                "float16": ["--method", "weight-only", "--weights", "float16"]}
# Static files cannot be made: a value that the target quantizes is infinite.
INFINITE = {"encoder_dynamo"}


def operators(path):
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = [CODES[c.builtinCode] for c in model.operatorCodes]
    return collections.Counter(codes[op.opcodeIndex] for op in model.subgraphs[0].operators)


def difference(reference, other):
    """Largest difference as a share of the largest output; inf where shapes or integers differ."""
    worst = 0.0
    for a, b in zip(reference, other, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype or (a.dtype != np.float32 and not (a == b).all()):
            return float("inf")
        if a.dtype != np.float32 or a.size == 0:
            continue
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("inf")
        worst = max(worst, float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)))
    return worst


class Converter:
    def __init__(self, checks, octet, folder):
        self.checks, self.octet, self.folder = checks, octet, pathlib.Path(folder)

    def expect(self, good, line):
        self.checks.expect(good, line)

    def convert(self, source, name, *options):
        target = self.folder / name
        self.octet("convert", source, "-o", target, *options)
        return target

    def outputs(self, name, path, feeds, reference, names=None):
        """The feeds are by name, in the order of the graph's inputs."""
        for kernels in KERNELS:
            try:
                ours = litert.run(path, list(feeds.values()), kernels)
                worst = difference(reference, ours)
                self.expect(worst <= TOLERANCE, f"{name} {kernels}: largest difference {worst:.1e} of the largest output")
            except (RuntimeError, ValueError) as error:
                self.expect(False, f"{name} {kernels}: {str(error).splitlines()[0][:200]}")

    def fixpoint(self, name, path):
        again = self.convert(path, f"{name}_again.tflite")
        self.expect(again.read_bytes() == path.read_bytes(), f"{name}: read and written again, the same bytes")

    def quantized(self, name, path, feeds):
        data = self.folder / f"{name}_data.{'npy' if len(feeds) == 1 else 'npz'}"
        np.save(data, *feeds.values()) if len(feeds) == 1 else np.savez(data, **feeds)
        kinds = dict(WITHOUT_DATA)
        if name not in INFINITE:
            kinds |= {kind: ["--data", data, *options] for kind, options in STATIC.items()}
        different = []
        for kind, options in kinds.items():
            written = self.folder / f"{name}_{kind}.tflite"
            self.octet("quantize", path, "-o", written, *options)
            if self.convert(written, "again.tflite").read_bytes() != written.read_bytes():
                different.append(kind)
        self.expect(not different, f"{name}: read and written again, the same bytes: {len(kinds) - len(different)} kinds of "
                    "quantized files" + (f"; not {', '.join(different)}" if different else ""))

    def onnx(self, name, path, feed_sets):
        try:
            written = self.convert(path, f"{name}.tflite")
        except SystemExit as error:
            reason = str(error).strip().splitlines()[-1]
            self.expect(name in REFUSED and REFUSED[name] in reason, f"{name}: refused: {reason[:200]}")
            return
        self.expect(name not in REFUSED, f"{name}: {sum(operators(written).values())} operators")
        session = common.ort_session(path, True)
        for label, feeds in feed_sets:
            feeds = {i.name: feeds[i.name] for i in session.get_inputs()}
            self.outputs(f"{name}{label}", written, feeds, session.run(None, feeds))
        self.fixpoint(name, written)
        self.quantized(name, path, feed_sets[0][1])
        if name not in CLASSIFIERS:
            return
        count = operators(written)["TRANSPOSE"]
        self.expect(count == 1, f"{name}: {count} TRANSPOSE")
        nhwc = self.convert(path, f"{name}_nhwc.tflite", "--input-layout", "nhwc")
        count = operators(nhwc)["TRANSPOSE"]
        self.expect(count == 0, f"{name} --input-layout nhwc: {count} TRANSPOSE")
        label, feeds = feed_sets[0]
        turned = {n: np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if x.ndim == 4 else x for n, x in feeds.items()}
        self.outputs(f"{name} --input-layout nhwc", nhwc, turned, session.run(None, feeds))

    def tflite(self, name, path):
        random = np.random.default_rng(1)
        details = litert.interpreter(path).get_input_details()
        feeds = {d["name"]: random.uniform(-1, 1, d["shape"]).astype(d["dtype"]) for d in details}
        reference = litert.run(path, list(feeds.values()), "xnnpack")
        written = self.convert(path, f"{name}.tflite")
        self.outputs(name, written, feeds, reference)
        self.fixpoint(name, written)
        as_onnx = self.convert(path, f"{name}.onnx")
        session = common.ort_session(as_onnx, True)
        inputs = {i.name: x for i, x in zip(session.get_inputs(), feeds.values())}
        worst = difference(reference, session.run(None, inputs))
        self.expect(worst <= TOLERANCE, f"{name} as ONNX: largest difference {worst:.1e} of the largest output")


class Built:
    """A network's file and its samples; building one takes seconds, so --keep keeps both."""

    def __init__(self, name, folder):
        self.path, kept = folder / f"{name}.onnx", folder / f"{name}.pickle"
        if not kept.exists():
            network = builders.BUILDERS[name]()
            onnx.save(network.model, str(self.path))
            count = network.fixed_batch or SAMPLES
            sets = [("", {n: x[:count] for n, x in network.evaluation.items()})]
            if network.other is not None:
                sets.append((" of another size", {n: x[:2] for n, x in network.other.items()}))
            coded = {n: x[:CODED_SAMPLES] for n, x in network.evaluation.items()}
            kept.write_bytes(pickle.dumps((sets, network.calibration, coded, network.fixed_batch or CODED_SAMPLES)))
        self.feed_sets, self.calibration, self.coded, self.batch = pickle.loads(kept.read_bytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("octet")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--keep", help="folder for the models")
    options = parser.parse_args()
    checks, octet = Checks(), common.Octet(options.octet)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        converter = Converter(checks, octet, folder)
        for name in builders.BUILDERS:
            if options.only and name not in options.only:
                continue
            network = Built(name, folder)
            converter.onnx(name, network.path, network.feed_sets)
            if name not in REFUSED:
                tflite_int8.check(checks, octet, name, network.path, network.calibration, network.coded, network.batch, folder)
        for model in common.models():
            if options.only and model.name not in options.only:
                continue
            x, _ = common.load(model.evaluation, model.recipe, SAMPLES)
            converter.onnx(model.name, model.path, [("", {common.ort_session(model.path).get_inputs()[0].name: x})])
        for path in sorted(common.SHARED.glob("models/*/*_float.tflite")) if common.SHARED.is_dir() else []:
            if not options.only or path.stem in options.only:
                converter.tflite(path.stem, path)
    print(f"tflite_convert: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
