#!/usr/bin/env python3
"""Does `octet compare --diagnose` name a fault that was put in, and are the gains it predicts true?

    bench/diagnose.py OCTET [faults|gains] [MODEL...]

faults: puts one fault at a time into each model and prints the first cause that is named. `healthy` must name none. Beside
common.py's models there is kws_dscnn, which reads arrays and has no faults of a recipe.
gains: follows every advice on MobileNetV1 and V2 (per-tensor, per-channel and, V1, weights of 4 bits), ResNet-20 (weights of
4, 3 and 2 bits), ResNet-56 and the keyword model (4 bits) by quantizing anew with its options, and prints the predicted and
the real change of the KL divergence.
"""

import json
import pathlib
import shlex
import shutil
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper

import common

SAMPLES = 300


def initializers(model):
    return {i.name: i for i in model.graph.initializer}


def replace(model, name, array):
    found = initializers(model)[name]
    found.CopyFrom(numpy_helper.from_array(array, name))


def inner_conv(graph, quantized):
    """A dense layer in the middle of the network, of enough weights: (node, weight's initializer)."""
    makers = {o: n for n in graph.node for o in n.output}
    sizes = {i.name: i.dims for i in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        name = node.input[1]
        if quantized:
            name = makers[name].input[0] if name in makers else name
        groups = [a.i for a in node.attribute if a.name == "group"]
        if name in sizes and not (groups and groups[0] > 1):
            found.append((node, name))
    return found[len(found) // 2] if len(found) > 2 else found[0]


def few_bits(path):
    model = onnx.load(path)
    _, name = inner_conv(model.graph, True)
    codes = numpy_helper.to_array(initializers(model)[name]).astype(np.int32)
    replace(model, name, np.clip(np.round(codes / 42) * 42, -127, 127).astype(np.int8))
    onnx.save(model, path)


def overflowing_bias(path):
    model = onnx.load(path)
    node, _ = inner_conv(model.graph, True)
    makers = {o: n for n in model.graph.node for o in n.output}
    name = makers[node.input[2]].input[0]
    codes = numpy_helper.to_array(initializers(model)[name]).copy()
    codes[0] = np.iinfo(np.int32).max
    replace(model, name, codes)
    onnx.save(model, path)


def clipped_range(path):
    """What the layer in the middle reads, with a fifth of its range."""
    model = onnx.load(path)
    node, _ = inner_conv(model.graph, True)
    makers = {o: n for n in model.graph.node for o in n.output}
    dequantize = makers[node.input[0]]
    names = {dequantize.input[1], makers[dequantize.input[0]].input[1]}
    for k, name in enumerate(sorted(names)):
        scale = numpy_helper.to_array(initializers(model)[name])
        tensor = numpy_helper.from_array((scale * np.float32(0.2)).astype(np.float32), f"clipped_{k}")
        model.graph.initializer.append(tensor)
        for user in (dequantize, makers[dequantize.input[0]]):
            if user.input[1] == name:
                user.input[1] = tensor.name
    onnx.save(model, path)


def scaled_channel(source, target):
    """One output channel of the float model's middle layer times 100 (that of its BatchNormalization, where it has one)."""
    model = onnx.load(source)
    node, weight = inner_conv(model.graph, False)
    readers = [n for n in model.graph.node if node.output[0] in n.input]
    norm = readers and readers[0].op_type == "BatchNormalization"
    names = list(readers[0].input[1:3]) if norm else [weight, *node.input[2:3]]
    values = initializers(model)
    outputs_last = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    for name in names:
        array = numpy_helper.to_array(values[name]).copy()
        if outputs_last and array.ndim == 2:
            array[:, 0] *= 100
        else:
            array[0] *= 100
        replace(model, name, array)
    onnx.save(model, target)


def one_class(model, folder):
    """Calibration samples of one class (of one image, where there is one to a class): octet's options."""
    if model.calibration.is_dir():
        lines = (model.calibration / "labels.txt").read_text().splitlines()[:1]
        target = folder / "one"
        (target / "images").mkdir(parents=True)
        for line in lines:
            name = line.split("\t")[0]
            (target / "images" / name).symlink_to(model.calibration / "images" / name)
        (target / "labels.txt").write_text("\n".join(lines) + "\n")
        return ["--data", target, "--recipe", model.recipe]
    if model.recipe is None:
        np.save(folder / "one.npy", np.load(model.calibration)[model.labels == 1])
        np.save(folder / "one_labels.npy", model.labels[model.labels == 1])
        return ["--data", folder / "one.npy", "--labels", folder / "one_labels.npy"]
    if "idx3" in model.calibration.name:
        x, y = common.load(model.calibration, model.recipe)
        np.save(folder / "one.npy", x[y == 1][:200])
        return ["--data", folder / "one.npy"]
    target = folder / "one"
    target.mkdir()
    first = sorted(p for p in common.class_folders(model.calibration).iterdir() if p.is_dir())[0]
    (target / "only").mkdir()
    for image in sorted(first.iterdir())[:200]:
        (target / "only" / image.name).symlink_to(image.resolve())
    return ["--data", target, "--recipe", model.recipe]


def with_recipe(model, folder, **changes):
    recipe = json.loads(model.recipe.read_text())
    recipe.update(changes)
    path = folder / "wrong.json"
    path.write_text(json.dumps(recipe))
    return ["--data", model.calibration, "--recipe", path, "--samples", "200"]


class Faults:
    """Each gives the float model, the quantized one, and the recipe to compare by (None: the model's own)."""

    def __init__(self, octet, model, folder, healthy):
        self.octet, self.model, self.folder = octet, model, folder
        self.quantized = folder / "faulty.onnx"
        self.made = healthy

    def quantize(self, *options, data=None, source=None):
        self.octet("quantize", source or self.model.path, "-o", self.quantized,
                   *(data or self.model.data_options), *options)

    def copy(self):
        """The model quantized as it should be, made once."""
        if not self.made.exists():
            self.octet.quantize(self.model, self.made)
        shutil.copy(self.made, self.quantized)

    def healthy(self):
        self.copy()
        return None

    def wrong_mean(self):
        gray = "gray" in self.model.recipe.read_text()
        changes = {"mean": [0.5], "std": [0.1]} if gray else {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1 / 255}
        self.quantize(data=with_recipe(self.model, self.folder, **changes))
        return "recipe"

    def wrong_scale_in_both(self):
        self.wrong_mean_recipe = with_recipe(self.model, self.folder, mean=[0], std=[1], scale=1)
        self.quantize(data=self.wrong_mean_recipe)
        return "recipe"

    def swapped_channels(self):
        self.quantize(data=with_recipe(self.model, self.folder, color="BGR"))
        return "recipe"

    def scaled_channel(self):
        source = self.folder / "scaled.onnx"
        scaled_channel(self.model.path, source)
        self.quantize("--per-tensor", "--no-equalize", source=source)
        return "channel_range"

    def one_class(self):
        self.quantize(data=one_class(self.model, self.folder))
        return "calibration_set"

    def clipped(self):
        self.copy()
        clipped_range(self.quantized)
        return "clipped_observer"

    def bias(self):
        self.copy()
        overflowing_bias(self.quantized)
        return "bias_overflow"

    def bits(self):
        self.copy()
        few_bits(self.quantized)
        return "weight_bits"


NAMES = ["healthy", "wrong_mean", "wrong_scale_in_both", "swapped_channels", "scaled_channel", "one_class", "clipped",
         "bias", "bits"]
OWN_RECIPE = {"wrong_scale_in_both", "swapped_channels"}


IMAGE_FAULTS = {"wrong_mean", "wrong_scale_in_both", "swapped_channels"}


class KeywordSpotting(common.Model):
    """MLPerf Tiny's float keyword model as .onnx: 500 of its samples to calibrate on, 500 others to compare on."""

    def __init__(self, octet, folder):
        data = common.SHARED / "data/kws"
        x = np.load(data / "kws01_mfcc_int8.npy").reshape(-1, 49, 10, 1).astype(np.float32)
        x, y = (x - np.float32(83)) * np.float32(0.5847029089927673), np.load(data / "kws01_labels.npy")
        for name, rows in (("calibration", slice(0, None, 2)), ("evaluation", slice(1, None, 2))):
            np.save(folder / f"{name}.npy", x[rows])
            np.save(folder / f"{name}_labels.npy", y[rows])
        octet("convert", common.SHARED / "models/mlperf_tiny/kws_dscnn_reftwin_float.tflite", "-o", folder / "kws_dscnn.onnx")
        super().__init__(folder / "kws_dscnn.onnx", folder / "calibration.npy", folder / "evaluation.npy", None)
        self.labels = y[0::2]

    @property
    def data_options(self):
        return ["--data", self.calibration, "--samples", "200"]


def compared(octet, model, source, quantized, *options, own_recipe=False):
    recipe = [] if own_recipe or model.recipe is None else ["--recipe", model.recipe]
    labels = ["--labels", model.evaluation.with_name("evaluation_labels.npy")] if model.recipe is None else []
    return octet("compare", source, quantized, "--data", model.evaluation, *recipe, *labels, "--samples", SAMPLES,
                 "--no-speed", "--layers", "none", *options)


def faults_of(model):
    """Arrays are fed as they are: there is no recipe to be wrong."""
    if model.recipe is None:
        return [name for name in NAMES if name not in IMAGE_FAULTS]
    gray = "gray" in model.recipe.read_text()
    return [name for name in NAMES if name != "swapped_channels" or not gray]


def faults(octet, models):
    print(f"| {'model':22} | {'fault':20} | {'KL':>8} | first cause (all) |")
    print("|---|---|---|---|")
    wrong = 0
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            for name in faults_of(model):
                wrong += not named(octet, model, name, pathlib.Path(folder))
    print(f"{wrong} wrong")


def named(octet, model, name, shared):
    """Whether the diagnosis names the fault first; `shared` keeps the healthy model."""
    with tempfile.TemporaryDirectory() as folder:
        fault = Faults(octet, model, pathlib.Path(folder), shared / "healthy.onnx")
        expected = getattr(fault, name)()
        scaled = pathlib.Path(folder) / "scaled.onnx"
        found = compared(octet, model, scaled if scaled.exists() else model.path, fault.quantized, "--diagnose",
                         own_recipe=name in OWN_RECIPE)
    causes = found["diagnosis"]["causes"]
    texts = [c["cause"] + (f"({c['layer']})" if c["layer"] else "") for c in causes]
    right = (causes[0]["cause"] if causes else None) == expected
    print(f"| {model.name:22} | {name:20} | {found['kl']:8.4f} | {'' if right else 'WRONG '}{', '.join(texts) or 'none'} |",
          flush=True)
    return right


SCHEMES = {
    "resnet20": [["--bits-weights", "4"], ["--bits-weights", "3"], ["--bits-weights", "2"]],
    "resnet56": [["--bits-weights", "4"]],
    "mobilenet_v1_075_224": [["--per-tensor"], ["--per-channel"], ["--bits-weights", "4"]],
    "mobilenet_v2_100_224": [["--per-tensor"], ["--per-channel"]],
    "kws_dscnn": [["--bits-weights", "4"]],
}


def gains(octet, models):
    print("| model | scheme | advice | KL now | KL predicted | KL real | sign | within 2 |")
    print("|---|---|---|---|---|---|---|---|")
    judged = []
    for model in models:
        for scheme in SCHEMES[model.name]:
            with tempfile.TemporaryDirectory() as folder:
                judged += follow(octet, model, scheme, pathlib.Path(folder))
    print(f"{len(judged)} advices: sign right for {sum(sign for sign, _ in judged)}, "
          f"size within a factor of 2 for {sum(size for _, size in judged)}")


def follow(octet, model, scheme, folder):
    """(sign right, size within a factor of 2) of each advice on the model quantized by `scheme`."""
    octet.quantize(model, folder / "model.onnx", *scheme)
    now = compared(octet, model, model.path, folder / "model.onnx", "--diagnose")
    found = now["diagnosis"]
    judged = []
    for advice in [c for c in found["causes"] + found["improvements"] if c["expected"]]:
        command = shlex.split(advice["command"].replace("<calibration data>", str(model.calibration)))
        command[command.index("-o") + 1] = str(folder / "again.onnx")
        octet(*command[1:], "--samples", "200")
        after = compared(octet, model, model.path, folder / "again.onnx")["kl"]
        predicted = found["quantized"]["kl"] - advice["expected"]["kl"]
        real = now["kl"] - after
        sign = predicted * real > 0
        size = sign and 0.5 <= predicted / real <= 2
        judged.append((sign, size))
        print(f"| {model.name} | {' '.join(scheme)} | {advice['cause']} {' '.join(advice['options'])} "
              f"| {now['kl']:.4f} | {-predicted:+.4f} | {-real:+.4f} | {'right' if sign else 'WRONG'} "
              f"| {'yes' if size else 'no'} |", flush=True)
    if not judged:
        print(f"| {model.name} | {' '.join(scheme)} | none | {now['kl']:.4f} | | | | |", flush=True)
    return judged


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    octet = common.Octet(sys.argv[1])
    what = sys.argv[2] if len(sys.argv) > 2 else "faults"
    known = ["digits_cnn", "digits_mlp", "resnet20", "resnet56", "mobilenet_v1_075_224", "mobilenet_v2_100_224"]
    names = sys.argv[3:] or [*(known if what == "faults" else list(SCHEMES)[:-1]), "kws_dscnn"]
    chosen = [name for name in names if name != "kws_dscnn"]
    with tempfile.TemporaryDirectory() as folder:
        models = common.models(chosen) if chosen else []
        if "kws_dscnn" in names:
            models.append(KeywordSpotting(octet, pathlib.Path(folder)))
        (gains if what == "gains" else faults)(octet, models)


if __name__ == "__main__":
    main()
