"""Small .tflite models made by hand, and LiteRT to run them: what octet's .tflite side is compared with.

    model = Model()
    x = model.tensor("x", [1, 8, 8, 4], "int8", scale=0.05, zero_point=-3)
    w = model.tensor("w", [8, 3, 3, 4], "int8", scale=[...8], zero_point=0, axis=0, data=array)
    b = model.tensor("b", [8], "int32", scale=[...8], zero_point=0, axis=0, data=array)
    y = model.tensor("y", [1, 8, 8, 8], "int8", scale=0.1, zero_point=5)
    model.op("CONV_2D", [x, w, b], [y], Conv2DOptions=dict(padding=0, strideH=1, strideW=1))
    data = model.bytes([x], [y])
    outputs = run(data, [array], "xnnpack")        # or "reference", "optimized"
"""
import flatbuffers
import numpy as np
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "uint8": "UINT8", "int16": "INT16",
         "int32": "INT32", "int64": "INT64", "bool": "BOOL"}
RESOLVERS = {"reference": litert.OpResolverType.BUILTIN_REF,
             "optimized": litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
             "xnnpack": litert.OpResolverType.AUTO}


class Model:
    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "octet test"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], "main"
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, dtype="float32", scale=None, zero_point=0, axis=0, data=None, signature=None):
        t = schema.TensorT()
        t.name, t.shape = name, list(shape)
        if signature is not None:
            t.shapeSignature = list(signature)
        t.type = getattr(schema.TensorType, TYPES[dtype])
        t.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            array = np.ascontiguousarray(np.asarray(data).astype(dtype).reshape(shape))
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale = np.atleast_1d(np.asarray(scale, np.float32))
            q.zeroPoint = np.broadcast_to(np.asarray(zero_point, np.int64), q.scale.shape).copy()
            q.quantizedDimension = axis
            t.quantization = q
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def op(self, kind, inputs, outputs, version=None, **options):
        """options: at most one, NameOfOptionsTable=dict(camelCaseField=value)"""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version or 1
        for index, known in enumerate(self.model.operatorCodes):
            if (known.builtinCode, known.version) == (code.builtinCode, code.version):
                break
        else:
            self.model.operatorCodes.append(code)
            index = len(self.model.operatorCodes) - 1
        o = schema.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = index, list(inputs), list(outputs)
        for table, fields in options.items():
            o.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            o.builtinOptions = getattr(schema, table + "T")()
            for field, value in fields.items():
                assert hasattr(o.builtinOptions, field), (table, field)
                setattr(o.builtinOptions, field, value)
        self.graph.operators.append(o)

    def bytes(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def interpreter(model, kernels="xnnpack", threads=1, keep=False, allocate=True):
    """model: bytes or a path. keep: every tensor stays readable (get_tensor); switches XNNPACK's fusion of values off.
    allocate=False: for models whose stated extents (1 where they are dynamic) are too small to run."""
    source = dict(model_content=model) if isinstance(model, bytes) else dict(model_path=str(model))
    made = litert.Interpreter(**source, num_threads=threads, experimental_op_resolver_type=RESOLVERS[kernels],
                              experimental_preserve_all_tensors=keep)
    if allocate:
        made.allocate_tensors()
    return made


def run(model, inputs, kernels="xnnpack", threads=1):
    """The outputs for one set of inputs, in the order of the model's."""
    made = interpreter(model, kernels, threads, allocate=False)
    for detail, value in zip(made.get_input_details(), inputs):
        if list(detail["shape"]) != list(value.shape):
            made.resize_tensor_input(detail["index"], value.shape)
    made.allocate_tensors()
    for detail, value in zip(made.get_input_details(), inputs):
        made.set_tensor(detail["index"], value)
    made.invoke()
    return [made.get_tensor(d["index"]) for d in made.get_output_details()]
