"""An ONNX graph under construction, evaluated as it grows.

Every node is run at once by ONNX Runtime on a batch of samples. So builders know the shape of each value, and can give
layers weights whose outputs have the statistics of trained networks instead of exploding or dying out.
"""

import contextlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(3)
IR_OF_OPSET = {9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


class TorchScriptNames:
    """torch.onnx.export(dynamo=False): paths of modules."""

    def node(self, op, scope, count):
        return f"/{scope.replace('.', '/')}/{op}" + (f"_{count}" if count else "")

    def value(self, op, scope, count):
        return f"{self.node(op, scope, count)}_output_0"

    def weight(self, scope, kind, index):
        return f"{scope}.{kind}" if kind in ("weight", "bias") else f"onnx::{kind}_{index}"


class NumberNames:
    """PyTorch up to 1.12: running numbers."""

    def __init__(self):
        self.next = 100

    def node(self, op, scope, count):
        return f"{op}_{self.next}"

    def value(self, op, scope, count):
        self.next += 1
        return str(self.next)

    def weight(self, scope, kind, index):
        return f"{scope}.{kind}" if kind in ("weight", "bias") else f"{self.next}.{index}"


class DynamoNames:
    """torch.onnx.export(dynamo=True): names of ATen operators."""
    ATEN = {"Conv": "conv2d", "Relu": "relu", "Gemm": "linear", "MatMul": "matmul", "Add": "add", "Mul": "mul",
            "Gelu": "gelu", "LayerNormalization": "layer_norm", "HardSwish": "hardswish", "Reshape": "view",
            "HardSigmoid": "hardsigmoid", "ReduceMean": "mean", "BatchNormalization": "getitem", "Concat": "cat"}

    def __init__(self):
        self.counts = {}

    def value(self, op, scope, count):
        base = self.ATEN.get(op, op.lower())
        index = self.counts[base] = self.counts.get(base, -1) + 1
        self.last = f"{base}_{index}" if index else base
        return self.last

    def node(self, op, scope, count):
        return f"node_{self.last}"

    def weight(self, scope, kind, index):
        return f"{scope}.{kind}" if kind in ("weight", "bias") else f"val_{index}"


class TensorFlowNames:
    """tf2onnx: paths ending in an operator and ":0"."""
    OPS = {"Conv": "Conv2D", "Add": "BiasAdd", "Clip": "Relu6", "Resize": "ResizeBilinear"}

    def node(self, op, scope, count):
        return f"model/{scope.replace('.', '/')}/{self.OPS.get(op, op)}" + (f"_{count}" if count else "")

    def value(self, op, scope, count):
        return f"{self.node(op, scope, count)}:0"

    def weight(self, scope, kind, index):
        return f"model/{scope.replace('.', '/')}/{kind}/ReadVariableOp:0" if kind != "const" else f"const_fold_opt__{index}"


def compute(op, arrays, opset, outputs=1, **attributes):
    """What ONNX Runtime makes of one node: a list of arrays. An input that is None is absent."""
    names = ["" if a is None else f"i{n}" for n, a in enumerate(arrays)]
    node = helper.make_node(op, names, [f"o{n}" for n in range(outputs)], **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
             for n, a in zip(names, arrays) if n]
    results = [helper.make_value_info(n, onnx.TypeProto()) for n in node.output]
    graph = helper.make_graph([node], "node", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_OF_OPSET[opset])
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # no pool of threads for one node
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {n: a for n, a in zip(names, arrays) if n})


class Net:
    def __init__(self, name, opset, names, seed):
        self.name, self.opset, self.names = name, opset, names
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers, self.inputs, self.outputs, self.infos = [], {}, [], [], []
        self.values, self.counts = {}, {}
        self.scopes, self.weights_as_inputs = [], False
        self.labels = None  # classes of the samples, where weights are to tell them apart

    @contextlib.contextmanager
    def scope(self, name):
        self.scopes.append(name)
        yield
        self.scopes.pop()

    @property
    def path(self):
        return ".".join(self.scopes) or "model"

    def input(self, name, array, shape):
        """`array` is the batch on which the graph is evaluated while it grows; `shape` is what the file states."""
        self.values[name] = array
        element = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def weight(self, array, kind="weight", name=None):
        """An initializer; returns its name. `kind` weight and bias take the scope's name, others are numbered."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = name or self.names.weight(self.path, kind, len(self.initializers))
        while name in self.initializers:
            name += "_"
        self.initializers[name] = array
        self.values[name] = array
        return name

    def ints(self, *numbers):
        return self.weight(np.array(numbers, np.int64), "const")

    def constant(self, array):
        """A Constant node."""
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        return self.op("Constant", value=numpy_helper.from_array(array))

    def op(self, op, *inputs, outs=1, out=None, **attributes):
        """Adds a node and evaluates it; the name of its output, or a list of names when outs > 1."""
        key = (op, self.path)
        count = self.counts[key] = self.counts.get(key, -1) + 1
        name = self.names.value(op, self.path, count)
        results = [out or name]
        results += [f"{results[0]}.{n}" for n in range(1, outs)]
        inputs = [i or "" for i in inputs]
        self.nodes.append(helper.make_node(op, inputs, results, name=self.names.node(op, self.path, count),
                                           **attributes))
        arrays = [self.values[i] if i else None for i in inputs]
        if op == "Constant":
            values = [numpy_helper.to_array(attributes["value"])]
        else:
            values = compute(op, arrays, self.opset, outs, **attributes)
        self.values.update(zip(results, values))
        return results[0] if outs == 1 else results

    def shape(self, name):
        return self.values[name].shape

    def output(self, name, shape):
        element = helper.np_dtype_to_tensor_dtype(self.values[name].dtype)
        self.outputs.append(helper.make_tensor_value_info(name, element, shape))

    def state_shapes(self):
        """value_info of every f32 value, batch dimension dynamic, as the dynamo exporter writes it."""
        batch = len(self.values[self.inputs[0].name])
        for node in self.nodes:
            for name in node.output:
                value = self.values[name]
                dims = ["batch" if n == 0 and d == batch else d for n, d in enumerate(value.shape)]
                self.infos.append(helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(value.dtype), dims))

    def model(self):
        tensors = [numpy_helper.from_array(a, n) for n, a in self.initializers.items()]
        inputs = list(self.inputs)
        if self.weights_as_inputs:
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
        graph = helper.make_graph(self.nodes, self.name, inputs, self.outputs, tensors, value_info=self.infos)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                  ir_version=IR_OF_OPSET[self.opset], producer_name="octet tests")
        onnx.checker.check_model(model, full_check=True)
        return model


class Network:
    """A finished network with data: `calibration` and `evaluation` map input names to arrays, `other` too where inputs
    may have other sizes. `labels` are the classes that the first output scores, of the evaluation samples. `rival_ops`
    are the operators to which ONNX Runtime's quantizer has to be limited to do well."""

    def __init__(self, net, calibration, evaluation, labels=None, other=None, fixed_batch=0, rival_ops=None):
        self.name, self.model = net.name, net.model()
        self.calibration, self.evaluation, self.labels = calibration, evaluation, labels
        self.other, self.fixed_batch, self.rival_ops = other, fixed_batch, rival_ops
