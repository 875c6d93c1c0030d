"""What the benchmarks and the parity tests share: the models, their data, octet and ONNX Runtime as callables."""

import gzip
import io
import json
import os
import pathlib
import resource
import statistics
import subprocess
import tarfile
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("OCTET_SHARED", ROOT.parent / "shared"))
RECIPES = ROOT / "bench" / "recipes"
DIGITS = ROOT / "examples" / "digits"


class Model:
    def __init__(self, path, calibration, evaluation, recipe):
        self.path, self.calibration, self.evaluation, self.recipe = path, calibration, evaluation, recipe
        self.name = path.stem

    @property
    def data_options(self):
        """For octet commands on the calibration data."""
        return ["--data", self.calibration, "--recipe", self.recipe, "--samples", "200"]


def cifar(name):
    data = SHARED / "data"
    return Model(SHARED / "models/cifar10" / f"{name}.onnx", data / "cifar10_train.tar.gz",
                 data / "cifar10_val.tar.gz", RECIPES / "cifar10.json")


def mobilenet(version, name):
    samples = SHARED / "data/imagenet_samples"
    return Model(SHARED / "models/imagenet" / f"{name}.onnx", samples / "calibration",
                 samples / "evaluation", RECIPES / f"mobilenet_v{version}.json")


def digits(name):
    return Model(DIGITS / f"{name}.onnx", DIGITS / "train-images-idx3-ubyte.gz",
                 DIGITS / "t10k-images-idx3-ubyte.gz", DIGITS / "recipe.json")


def models(names=()):
    """The bundled models, and those of ../shared where it is; `names` picks some."""
    known = [digits("digits_cnn"), digits("digits_mlp")]
    if SHARED.is_dir():
        known += [cifar("resnet20"), cifar("resnet20_bn"), cifar("resnet56"),
                  mobilenet(1, "mobilenet_v1_075_224"), mobilenet(2, "mobilenet_v2_100_224")]
    unknown = set(names) - {m.name for m in known}
    if unknown:
        raise SystemExit(f"unknown model {', '.join(sorted(unknown))}; known: {', '.join(m.name for m in known)}")
    return [m for m in known if not names or m.name in names]


def apply_recipe(recipe, pixels):
    """uint8 [H,W,C] -> f32 [1,C,H,W]. The recipes here crop but never resize."""
    crop = recipe.get("crop", 0)
    if crop:
        top, left = (pixels.shape[0] - crop) // 2, (pixels.shape[1] - crop) // 2
        pixels = pixels[top:top + crop, left:left + crop]
    x = pixels.astype(np.float32) * np.float32(recipe["scale"])
    x = (x - np.float32(recipe.get("mean", 0))) / np.float32(recipe.get("std", 1))
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def decode(recipe, source):
    from PIL import Image
    mode = "L" if recipe["color"] == "gray" else "RGB"
    pixels = np.asarray(Image.open(source).convert(mode))
    return apply_recipe(recipe, pixels[:, :, None] if pixels.ndim == 2 else pixels)


def read_idx(path):
    data = gzip.open(path).read()
    shape = np.frombuffer(data, ">u4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def samples(path):
    """Of a data set: [(function of a recipe that gives the input, label)], undecoded."""
    path = pathlib.Path(path)
    if "idx3" in path.name:
        labels = read_idx(str(path).replace("images-idx3", "labels-idx1"))
        return [(lambda r, p=p: apply_recipe(r, p[:, :, None]), int(y)) for p, y in zip(read_idx(path), labels)]
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            files = [(m.name.split("/")[-2], archive.extractfile(m).read()) for m in archive if m.isfile()]
        classes = sorted({c for c, _ in files})
        return [(lambda r, b=b: decode(r, io.BytesIO(b)), classes.index(c)) for c, b in files]
    if (path / "labels.txt").exists():
        rows = [line.split("\t") for line in (path / "labels.txt").read_text().splitlines()]
        return [(lambda r, f=f: decode(r, path / "images" / f), int(y)) for f, y in rows]
    classes = sorted(p.name for p in path.iterdir() if p.is_dir())
    return [(lambda r, f=f: decode(r, f), i) for i, c in enumerate(classes) for f in sorted((path / c).iterdir())]


def load(path, recipe_file, count=0, seed=0):
    """Inputs [N,C,H,W] and labels of `count` random samples (0: all), in the order of the data set."""
    recipe = json.loads(pathlib.Path(recipe_file).read_text())
    chosen = samples(path)
    if 0 < count < len(chosen):
        picks = np.random.default_rng(seed).choice(len(chosen), count, replace=False)
        chosen = [chosen[i] for i in sorted(picks)]
    x = np.concatenate([make(recipe) for make, _ in chosen])
    return x, np.array([y for _, y in chosen]) + recipe.get("label_offset", 0)


class Octet:
    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())

    def command(self, *arguments):
        return [self.binary, *map(str, arguments)]

    def __call__(self, *arguments):
        """Runs a command that must succeed; its JSON result."""
        done = subprocess.run(self.command(*arguments, "--json", "--quiet"), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"octet {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)

    def quantize(self, model, output, *options):
        return self("quantize", model.path, "-o", output, *model.data_options, *options)

    def outputs(self, model_path, x, engine, batch=100, taps=None):
        """First output for the inputs x."""
        results = []
        with tempfile.TemporaryDirectory() as folder:
            for start in range(0, len(x), batch):
                np.save(f"{folder}/x.npy", x[start:start + batch])
                options = ["--taps", taps] if taps else []
                self("run", model_path, "--input", f"{folder}/x.npy", "-o", f"{folder}/y.npy",
                     "--engine", engine, *options)
                results.append(np.load(f"{folder}/y.npy"))
        return np.concatenate(results)


def cpu_flags():
    """Names of instruction sets, as Linux spells them; none elsewhere."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


AVX512 = "avx512f" in cpu_flags()
SATURATES = not {"avx512_vnni", "avx_vnni"} & cpu_flags()
WEIGHTS = {"DequantizeLinear": (0, 2), "MatMulInteger": (1, 3), "ConvInteger": (1, 3)}  # inputs: weights, zero point


def with_own_weights(model):
    """Serialized; every node that reads int8 weights has its own, and zero points for each channel. ONNX Runtime 1.32, told
    to be exact, neither loads weights nor zero points that nodes share, nor runs what it makes of zero points left out."""
    import onnx
    model = onnx.load(str(model)) if isinstance(model, (str, pathlib.Path)) else onnx.load_from_string(model)
    arrays = {i.name: i for i in model.graph.initializer}

    def own(node, at, array):
        copy = onnx.numpy_helper.from_array(array, f"{node.output[0]}/own_{at}")
        model.graph.initializer.append(copy)
        node.input.extend([""] * (at + 1 - len(node.input)))
        node.input[at] = copy.name

    for node in [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in arrays]:
        readers = [(n, k) for n in model.graph.node for k, name in enumerate(n.input) if name == node.output[0]]
        for reader, k in readers[1:]:
            model.graph.node.insert(0, node)
            copy = model.graph.node[0]
            copy.name = copy.output[0] = reader.input[k] = f"{node.output[0]}/of_{reader.output[0]}"
    for node in model.graph.node:
        weights, zero_point = WEIGHTS.get(node.op_type, (0, 0))
        codes = arrays.get(node.input[weights]) if zero_point else None
        if codes is None or codes.data_type != onnx.TensorProto.INT8:
            continue
        own(node, weights, onnx.numpy_helper.to_array(codes))
        zeros = node.input[zero_point] if len(node.input) > zero_point else ""
        if zeros in arrays:
            own(node, zero_point, onnx.numpy_helper.to_array(arrays[zeros]))
        elif node.op_type == "DequantizeLinear" and not zeros and node.input[1] in arrays:
            own(node, zero_point, np.zeros(arrays[node.input[1]].dims, np.int8))
    return model.SerializeToString()


def ort_session(model, optimized=True, threads=0, exact=None):
    """ONNX Runtime session of a path or of serialized bytes. `threads` for sessions that are timed.

    On CPUs without VNNI its fastest kernels saturate sums of two products. There `exact` gives the results of other
    CPUs; by default what is timed is what runs by default, and all else is exact.
    """
    import onnxruntime as ort
    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if threads == 0:  # nobody measures: waiting threads leave the cores to others
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if SATURATES and (threads == 0 if exact is None else exact):
        options.add_session_config_entry("session.x64quantprecision", "1")
        model = with_own_weights(model)
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, (str, pathlib.Path)) else model
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def ort_outputs(model, x, optimized=True, batch=100, exact=True):
    session = ort_session(model, optimized, exact=exact)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i:i + batch]})[0] for i in range(0, len(x), batch)])


def ort_quantize(model_path, output, x, observer="MinMax"):
    """ONNX Runtime's static quantization as its documentation advises for x86: QDQ, per-channel."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    name = ort_session(model_path).get_inputs()[0].name

    class Reader:
        def __init__(self):
            self.inputs = iter(x)

        def get_next(self):
            sample = next(self.inputs, None)
            return None if sample is None else {name: sample[None]}

    with tempfile.TemporaryDirectory() as folder:
        prepared = f"{folder}/prepared.onnx"
        quant_pre_process(str(model_path), prepared)
        quantize_static(prepared, str(output), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        calibrate_method=getattr(CalibrationMethod, observer))


def median_ms(call, seconds):
    """Of calls one after another for so long, behind five that do not count."""
    for _ in range(5):
        call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def processor_time():
    """Seconds that child processes have taken so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measured(command, **options):
    """Runs a process to its end: seconds and peak resident bytes. Its failure ends the benchmark."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=errors, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n"
                             f"{errors.read().decode(errors='replace')}")
    return seconds, usage.ru_maxrss * 1024


def probabilities(outputs):
    """Softmax, unless the model ends in one."""
    y = outputs.reshape(len(outputs), -1).astype(np.float64)
    if y.min() >= 0 and abs(y[0].sum() - 1) < 0.05:
        return y / y.sum(1, keepdims=True)
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def verdict(reference, other, labels):
    """top-1 of `other`, its agreement with `reference`, mean KL(reference || other)."""
    p, q = (np.clip(probabilities(y), 1e-8, 1) for y in (reference, other))
    return ((q.argmax(1) == labels).mean(), (p.argmax(1) == q.argmax(1)).mean(),
            (p * np.log(p / q)).sum(1).mean())


def class_folders(archive):
    """A .tar.gz of class folders, unpacked once under build/bench-data."""
    target = ROOT / "build" / "bench-data" / archive.name.removesuffix(".tar.gz")
    if not target.exists():
        partial = target.with_suffix(".partial")
        with tarfile.open(archive) as source:
            source.extractall(partial)
        inner = list(partial.iterdir())
        (inner[0] if len(inner) == 1 else partial).rename(target)
    return target
