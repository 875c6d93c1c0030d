"""Each operator of a .tflite file alone, fed what LiteRT had there: octet and LiteRT on the same numbers. Where whole networks
differ this says in which operators it begins. Part of tflite_int8.py.
"""
import copy

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import litert

CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
# f32 sums and exponentials, relative to the largest result.
FLOAT_TOLERANCE = 1e-5
FINITE = float(np.finfo(np.float32).max)


def cut(model, op, values):
    """The model that has only this operator; its inputs are the tensors that are not constant, in the values' shapes."""
    graph = model.subgraphs[0]
    alone, part = schema.ModelT(), schema.SubGraphT()
    alone.version, alone.description = model.version, "operator alone"
    alone.buffers, alone.operatorCodes = [schema.BufferT()], [model.operatorCodes[op.opcodeIndex]]
    part.tensors, part.inputs, part.outputs = [], [], []
    places = {}
    for index in [i for i in (*op.inputs, *op.outputs) if i >= 0]:
        if index in places:
            continue
        tensor = copy.copy(graph.tensors[index])
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data) > 0:
            alone.buffers.append(model.buffers[graph.tensors[index].buffer])
            tensor.buffer = len(alone.buffers) - 1
        else:
            tensor.shape, tensor.shapeSignature = list(values[index].shape), None
            (part.inputs if index in op.inputs else part.outputs).append(len(part.tensors))
        places[index] = len(part.tensors)
        part.tensors.append(tensor)
    moved = copy.copy(op)
    moved.opcodeIndex = 0
    moved.inputs = [places.get(i, -1) for i in op.inputs]
    moved.outputs = [places[i] for i in op.outputs]
    part.operators, alone.subgraphs = [moved], [part]
    builder = flatbuffers.Builder(1024)
    builder.Finish(alone.Pack(builder), b"TFL3")
    fed = [next(i for i, place in places.items() if place == p) for p in part.inputs]
    return bytes(builder.Output()), [(graph.tensors[i].name.decode(), values[i]) for i in fed]


def every_value(path, inputs):
    made = litert.interpreter(path, "reference", keep=True, allocate=False)
    for detail, value in zip(made.get_input_details(), inputs):
        made.resize_tensor_input(detail["index"], value.shape)
    made.allocate_tensors()
    for detail, value in zip(made.get_input_details(), inputs):
        made.set_tensor(detail["index"], value)
    made.invoke()
    values = {}
    for detail in made.get_tensor_details():
        try:
            values[detail["index"]] = made.get_tensor(detail["index"]).copy()
        except ValueError:  # an optional tensor, or a delegate's
            continue
    return values


def octet_outputs(octet, path, feeds, rule, folder, count):
    options = []
    for n, (name, value) in enumerate(feeds):
        np.save(folder / f"fed{n}.npy", value)
        options += ["--input", f"{name}={folder}/fed{n}.npy"]
    target = folder / ("fed_out" if count > 1 else "fed_out.npy")
    return [np.load(f) for f in octet("run", path, "-o", target, "--rule", rule, *options)["files"]]


def same(ours, theirs):
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if theirs.dtype != np.float32 or theirs.size == 0:
        return (ours == theirs).all()
    # LiteRT's reference ADD gives the lowest finite number where others give -inf.
    ours, theirs = (np.nan_to_num(x.astype(np.float64), nan=np.nan, posinf=FINITE, neginf=-FINITE) for x in (ours, theirs))
    return np.allclose(ours, theirs, rtol=0, atol=FLOAT_TOLERANCE * np.abs(theirs).max(), equal_nan=True)


def different_operators(octet, path, inputs, rule, kernels, folder):
    """Operators on the file's constants and what LiteRT computed for `inputs`: how many ran, and those that differ, a code
    anywhere or a float by more than FLOAT_TOLERANCE of the largest."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    values, ran, different = every_value(path, inputs), 0, []
    for op in model.subgraphs[0].operators:
        data, feeds = cut(model, op, values)
        if not feeds:
            continue
        alone = folder / "alone.tflite"
        alone.write_bytes(data)
        theirs = litert.run(data, [value for _, value in feeds], kernels)
        ours = octet_outputs(octet, alone, feeds, rule, folder, len(theirs))
        ran += 1
        for a, b in zip(ours, theirs, strict=True):
            if not same(a, b):
                different.append(CODES[model.operatorCodes[op.opcodeIndex].builtinCode])
    return ran, different
