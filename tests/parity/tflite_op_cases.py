"""Float .tflite models of one operator each, for tflite_ops.py."""

import dataclasses
import itertools

import numpy as np

import litert

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3
FLOAT, INT32, INT64, BOOL = "float32", "int32", "int64", "bool"
WITHOUT_REFERENCE = {"CEIL", "ROUND", "ELU"}  # operators that only LiteRT's optimized kernels have
TYPE_NUMBERS = {FLOAT: 0, INT32: 2, INT64: 4, BOOL: 6}


@dataclasses.dataclass
class Case:
    name: str
    operator: str
    model: bytes
    arrays: list
    outputs: list

    @property
    def kernels(self):
        return kernels_of(self.operator)


def kernels_of(operator):
    return "optimized" if operator in WITHOUT_REFERENCE else "reference"


class Builder:
    """One operator; shapes of outputs are what LiteRT makes of them."""

    def __init__(self, seed):
        self.model = litert.Model()
        self.random = np.random.default_rng(seed)
        self.inputs, self.arrays = [], []

    def input(self, shape, low=-2.0, high=2.0, dtype=FLOAT, signature=None):
        array = self.random.uniform(low, high, shape).astype(dtype)
        if dtype == BOOL:
            array = self.random.integers(0, 2, shape).astype(bool)
        elif dtype != FLOAT:
            array = self.random.integers(int(low), int(high), shape).astype(dtype)
        name = f"input{len(self.inputs)}"
        self.inputs.append(self.model.tensor(name, shape, dtype, signature=signature))
        self.arrays.append(array)
        return self.inputs[-1]

    def constant(self, value, dtype=None):
        array = np.asarray(value)
        if dtype is None:
            dtype = FLOAT if array.dtype.kind == "f" else INT32
        return self.model.tensor("constant", array.shape, dtype, data=array)

    def weights(self, *shape):
        return self.constant(self.random.normal(0, 0.4, shape).astype(np.float32))

    def output(self, shape, dtype=FLOAT):
        return self.model.tensor(f"output{len(self.model.graph.tensors)}", shape, dtype)


def shaped(build, seed, kernels, first):
    """Builds twice: LiteRT says after the first time which shapes the outputs have; SLICE it must be told."""
    def once(shapes):
        builder = Builder(seed)
        outputs, index = [], itertools.count()

        def output(shape=None, dtype=FLOAT):
            i = next(index)
            made = builder.output(shape if shape is not None else shapes[i] if shapes else first, dtype)
            outputs.append(made)
            return made
        build(builder, output)
        names = [builder.model.graph.tensors[o].name for o in outputs]
        return builder.model.bytes(builder.inputs, outputs), builder.arrays, names

    data, arrays, _ = once(None)
    made = litert.run(data, arrays, kernels)
    return once([list(array.shape) for array in made])


CASES = []


def case(operator, label, build, first=(1,)):
    data, arrays, names = shaped(build, len(CASES), kernels_of(operator), first)
    CASES.append(Case(f"{operator} {label}", operator, data, arrays, names))


def simple(operator, label, inputs, dtype=FLOAT, constants=(), version=None, outputs=1, first=(1,), **options):
    """An operator on fresh inputs, then constants; inputs: shapes, or dicts of Builder.input."""
    def build(b, output):
        tensors = [b.input(**i) if isinstance(i, dict) else b.input(i) for i in inputs]
        tensors += [b.constant(value) for value in constants]
        b.model.op(operator, tensors, [output(dtype=dtype) for _ in range(outputs)], version, **options)
    case(operator, label, build, first)


def convolutions():
    for padding, (h, w), (kh, kw), (sh, sw), (dh, dw), activation in [
            (SAME, (8, 8), (3, 3), (1, 1), (1, 1), NONE), (SAME, (9, 7), (3, 3), (2, 2), (1, 1), RELU),
            (SAME, (8, 9), (3, 2), (2, 3), (1, 1), RELU6), (VALID, (9, 8), (3, 3), (2, 1), (1, 1), NONE),
            (SAME, (11, 10), (3, 3), (1, 1), (2, 3), RELU), (VALID, (12, 12), (3, 2), (1, 1), (2, 2), RELU_N1_TO_1),
            (SAME, (7, 7), (1, 1), (2, 2), (1, 1), NONE), (SAME, (5, 6), (5, 5), (4, 3), (1, 1), NONE)]:
        label = f"{'SAME' if padding == SAME else 'VALID'} {h}x{w} k{kh}x{kw} s{sh}x{sw} d{dh}x{dw} act{activation}"
        fields = dict(padding=padding, strideH=sh, strideW=sw, dilationHFactor=dh, dilationWFactor=dw,
                      fusedActivationFunction=activation)

        def conv(b, output, h=h, w=w, kh=kh, kw=kw, fields=fields):
            b.model.op("CONV_2D", [b.input([2, h, w, 3]), b.weights(5, kh, kw, 3), b.weights(5)], [output()],
                       Conv2DOptions=fields)
        case("CONV_2D", label, conv)
        for multiplier in (1, 3):
            def depthwise(b, output, h=h, w=w, kh=kh, kw=kw, fields=fields, multiplier=multiplier):
                b.model.op("DEPTHWISE_CONV_2D",
                           [b.input([2, h, w, 4]), b.weights(1, kh, kw, 4 * multiplier), b.weights(4 * multiplier)],
                           [output()], DepthwiseConv2DOptions=dict(fields, depthMultiplier=multiplier))
            case("DEPTHWISE_CONV_2D", f"{label} multiplier {multiplier}", depthwise)
    options = dict(padding=SAME, strideH=1, strideW=1)

    def grouped(b, output):
        b.model.op("CONV_2D", [b.input([1, 6, 5, 8]), b.weights(6, 3, 3, 4), b.weights(6)], [output()],
                   Conv2DOptions=options)
    case("CONV_2D", "2 groups", grouped)

    def half_weights(b, output):
        half = b.model.tensor("half", [6, 3, 3, 4], "float16", data=b.random.normal(0, 0.4, [6, 3, 3, 4]))
        whole = b.model.tensor("whole", [6, 3, 3, 4])
        b.model.op("DEQUANTIZE", [half], [whole])
        b.model.op("CONV_2D", [b.input([1, 6, 5, 4]), whole, b.weights(6)], [output()], Conv2DOptions=options)
    case("DEQUANTIZE", "float16 weights of CONV_2D", half_weights)

    def two_layers(b, output):
        hidden = b.model.tensor("hidden", [1, 3, 3, 4])
        b.model.op("CONV_2D", [b.input([1, 6, 6, 3]), b.weights(4, 3, 3, 3), b.weights(4)], [hidden],
                   Conv2DOptions=dict(padding=SAME, strideH=2, strideW=2))
        b.model.op("CONV_2D", [hidden, b.weights(5, 1, 1, 4), b.weights(5)], [output()], Conv2DOptions=options)
    case("CONV_2D", "two layers", two_layers)


def transposed_convolutions():
    for padding, (h, w), (kh, kw), (sh, sw), (oh, ow), bias in [
            (SAME, (4, 4), (3, 3), (2, 2), (8, 8), True), (SAME, (4, 5), (3, 3), (2, 2), (7, 9), False),
            (VALID, (4, 4), (3, 3), (2, 2), (9, 9), True), (VALID, (3, 4), (2, 2), (2, 2), (6, 8), False),
            (SAME, (5, 5), (4, 4), (2, 2), (10, 10), True), (SAME, (3, 3), (2, 2), (3, 3), (9, 9), True),
            (VALID, (3, 3), (2, 1), (3, 2), (8, 5), False), (SAME, (5, 4), (3, 5), (1, 1), (5, 4), True)]:
        def build(b, output, padding=padding, h=h, w=w, kh=kh, kw=kw, sh=sh, sw=sw, oh=oh, ow=ow, bias=bias):
            inputs = [b.constant([1, oh, ow, 5]), b.weights(5, kh, kw, 3), b.input([1, h, w, 3])]
            inputs += [b.weights(5)] if bias else []
            b.model.op("TRANSPOSE_CONV", inputs, [output()], 3 if bias else 1,
                       TransposeConvOptions=dict(padding=padding, strideH=sh, strideW=sw))
        name = "SAME" if padding == SAME else "VALID"
        case("TRANSPOSE_CONV", f"{name} {h}x{w} k{kh}x{kw} s{sh}x{sw} to {oh}x{ow} bias {bias}", build)


def pools():
    for operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        for padding, (h, w), (kh, kw), (sh, sw), activation in [
                (SAME, (8, 8), (2, 2), (2, 2), NONE), (SAME, (9, 7), (3, 3), (2, 2), NONE),
                (VALID, (9, 7), (3, 2), (2, 2), RELU), (VALID, (6, 5), (6, 5), (6, 5), NONE),
                (SAME, (7, 8), (3, 3), (1, 1), RELU6), (SAME, (7, 7), (2, 2), (3, 3), NONE)]:
            simple(operator, f"{padding} {h}x{w} k{kh}x{kw} s{sh}x{sw} act{activation}", [[2, h, w, 5]],
                   Pool2DOptions=dict(padding=padding, strideH=sh, strideW=sw, filterHeight=kh, filterWidth=kw,
                                      fusedActivationFunction=activation))


def products():
    for label, shape, depth, fields, bias in [
            ("matrix", [3, 8], 8, {}, True), ("relu", [3, 8], 8, dict(fusedActivationFunction=RELU), True),
            ("without bias", [3, 8], 8, {}, False), ("vector", [8], 8, {}, True), ("rank 4", [2, 1, 1, 8], 8, {}, True),
            ("rank 3", [2, 3, 8], 8, {}, True), ("flattened", [2, 3, 8], 24, {}, True),
            ("rank 3 kept", [2, 3, 8], 8, dict(keepNumDims=True), True),
            ("rank 4 kept, relu6", [2, 2, 3, 8], 8, dict(keepNumDims=True, fusedActivationFunction=RELU6), True)]:
        def build(b, output, shape=shape, depth=depth, fields=fields, bias=bias):
            inputs = [b.input(shape), b.weights(5, depth)] + ([b.weights(5)] if bias else [-1])
            b.model.op("FULLY_CONNECTED", inputs, [output()], 5 if fields.get("keepNumDims") else 1,
                       FullyConnectedOptions=fields)
        case("FULLY_CONNECTED", label, build)

    def computed(b, output):
        b.model.op("FULLY_CONNECTED", [b.input([3, 8]), b.input([5, 8]), -1], [output()], FullyConnectedOptions={})
    case("FULLY_CONNECTED", "computed weights", computed)
    for label, a, c, fields in [
            ("3-d", [2, 3, 4], [2, 4, 5], {}), ("4-d", [2, 2, 3, 4], [2, 2, 4, 5], {}),
            ("adj_x", [2, 4, 3], [2, 4, 5], dict(adjX=True)), ("adj_y", [2, 3, 4], [2, 5, 4], dict(adjY=True)),
            ("both", [4, 3], [5, 4], dict(adjX=True, adjY=True)), ("broadcast", [2, 2, 3, 4], [2, 4, 5], {})]:
        simple("BATCH_MATMUL", label, [a, c], BatchMatMulOptions=fields)

        def constant(b, output, a=a, c=c, fields=fields):
            b.model.op("BATCH_MATMUL", [b.input(a), b.weights(*c)], [output()], BatchMatMulOptions=fields)
        case("BATCH_MATMUL", f"{label}, constant", constant)


def elementwise():
    for operator in "RELU RELU6 RELU_N1_TO_1 LOGISTIC TANH EXP NEG ABS SIN COS FLOOR CEIL SIGN SQUARE ROUND ELU".split():
        simple(operator, "3-d", [[2, 3, 7]])
    for operator in "RSQRT SQRT LOG".split():
        simple(operator, "positive", [dict(shape=[2, 5, 5, 3], low=0.1, high=6)])
    simple("HARD_SWISH", "4-d", [dict(shape=[1, 4, 4, 5], low=-5, high=5)])
    for approximate in (False, True):
        simple("GELU", f"approximate {approximate}", [dict(shape=[3, 17], low=-4, high=4)],
               GeluOptions=dict(approximate=approximate))
    for alpha in (0.1, 0.3):
        simple("LEAKY_RELU", f"alpha {alpha}", [[1, 4, 4, 5]], LeakyReluOptions=dict(alpha=alpha))
    for label, shape in [("per channel", [1, 1, 5]), ("all", [4, 4, 5])]:
        def prelu(b, output, shape=shape):
            b.model.op("PRELU", [b.input([2, 4, 4, 5]), b.weights(*shape)], [output()])
        case("PRELU", label, prelu)
    options = dict(ADD="AddOptions", SUB="SubOptions", MUL="MulOptions", DIV="DivOptions")
    shapes = [("equal", [2, 3, 4, 5], [2, 3, 4, 5]), ("channels", [2, 3, 4, 5], [5]), ("scalar", [2, 3, 4, 5], []),
              ("rank 3", [2, 3, 4, 5], [3, 1, 5]), ("both", [2, 1, 4, 1], [1, 3, 1, 5]), ("first", [5], [3, 5])]
    for operator in "ADD SUB MUL DIV MINIMUM MAXIMUM SQUARED_DIFFERENCE".split():
        for label, a, b in shapes:
            low = 0.5 if operator == "DIV" else -2
            simple(operator, label, [a, dict(shape=b, low=low)])
        for activation in (RELU, RELU6, RELU_N1_TO_1):
            if operator in options:
                simple(operator, f"act{activation}", [[3, 4], dict(shape=[3, 4], low=0.5)],
                       **{options[operator]: dict(fusedActivationFunction=activation)})
    simple("POW", "equal", [dict(shape=[3, 4], low=0.1), [3, 4]])
    for operator in "ADD SUB MUL".split():
        simple(operator, "int32", [dict(shape=[3, 4], low=-9, high=9, dtype=INT32)] * 2, INT32)
    for operator in "EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split():
        simple(operator, "float", [[3, 4], [4]], BOOL)
        simple(operator, "int32", [dict(shape=[3, 4], low=0, high=3, dtype=INT32)] * 2, BOOL)
    for operator in "LOGICAL_AND LOGICAL_OR".split():
        simple(operator, "bool", [dict(shape=[3, 4], dtype=BOOL)] * 2, BOOL)
    simple("LOGICAL_NOT", "bool", [dict(shape=[3, 4], dtype=BOOL)], BOOL)


def softmaxes():
    for shape in ([3, 10], [2, 3, 4, 5], [7], [2, 3, 4]):
        for beta in (1.0, 0.5):
            simple("SOFTMAX", f"{shape} beta {beta}", [shape], SoftmaxOptions=dict(beta=beta))
        simple("LOG_SOFTMAX", f"{shape}", [shape])


def reductions():
    for operator in "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD".split():
        for shape, axes in [([2, 4, 5, 3], [1, 2]), ([2, 4, 5, 3], [3]), ([2, 4, 5, 3], [-1, 1]), ([4, 6], [0]),
                            ([2, 3, 4], [0, 1, 2]), ([2, 4, 5, 3], [1])]:
            for keep in (False, True):
                simple(operator, f"{shape} {axes} keep {keep}", [shape], constants=[axes],
                       ReducerOptions=dict(keepDims=keep))
    for operator, options in [("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")]:
        for shape, axis, dtype in [([2, 4, 5, 3], 3, INT32), ([2, 4, 5, 3], 1, INT64), ([3, 9], -1, INT32), ([9], 0, INT64)]:
            simple(operator, f"{shape} {axis} {dtype}", [shape], dtype, [axis],
                   **{options: dict(outputType=TYPE_NUMBERS[dtype])})
    for shape, k in [([10], 3), ([3, 10], 4), ([2, 3, 6], 6)]:
        def top(b, output, shape=shape, k=k):
            b.model.op("TOPK_V2", [b.input(shape), b.constant(k)], [output(), output(dtype=INT32)])
        case("TOPK_V2", f"{shape} {k}", top)


def shapes():
    for label, shape, new in [("flatten", [2, 3, 4], [2, 12]), ("rest", [2, 3, 4], [-1, 4]), ("rank 4", [2, 12], [2, 2, 2, 3])]:
        simple("RESHAPE", label, [shape], constants=[new], ReshapeOptions=dict(newShape=new))
    simple("RESHAPE", "in the options", [[2, 6]], ReshapeOptions=dict(newShape=[3, 4]))
    for label, shape, axes in [("all", [1, 3, 1, 4], []), ("two", [1, 1, 3, 1], [0, 1]), ("last", [2, 3, 1], [-1])]:
        simple("SQUEEZE", label, [shape], SqueezeOptions=dict(squeezeDims=axes))
    for axis in (0, 1, -1):
        simple("EXPAND_DIMS", f"axis {axis}", [[2, 3, 4]], constants=[axis])
    for shape, perm in [([2, 3], [1, 0]), ([2, 3, 4], [2, 0, 1]), ([2, 3, 4, 5], [0, 3, 1, 2]), ([2, 3, 4, 5], [3, 1, 0, 2])]:
        simple("TRANSPOSE", f"{perm}", [shape], constants=[perm])
    for axis in (0, 1, -1):
        simple("PACK", f"axis {axis}", [[2, 3]] * 3, PackOptions=dict(axis=axis, valuesCount=3))
        simple("UNPACK", f"axis {axis}", [[3, 3, 3]], outputs=3, UnpackOptions=dict(axis=axis, num=3))
    simple("PACK", "rank 4", [[2, 3, 4]] * 2, PackOptions=dict(axis=3, valuesCount=2))
    for dtype in (INT32, INT64):
        simple("SHAPE", dtype, [[2, 3, 4, 5]], dtype, ShapeOptions=dict(outType=TYPE_NUMBERS[dtype]))
    for source, target in itertools.product((FLOAT, INT32, INT64, BOOL), repeat=2):
        if source != target:
            simple("CAST", f"{source} to {target}", [dict(shape=[3, 4], low=0, high=3, dtype=source)], target,
                   CastOptions=dict(inDataType=TYPE_NUMBERS[source], outDataType=TYPE_NUMBERS[target]))


def pieces():
    for axis in (0, 1, 3, -1):
        simple("CONCATENATION", f"axis {axis}", [[2, 3, 4, 5]] * 3, ConcatenationOptions=dict(axis=axis))

        def split(b, output, axis=axis):
            b.model.op("SPLIT", [b.constant(axis), b.input([2, 4, 6, 8])], [output(), output()],
                       SplitOptions=dict(numSplits=2))
        case("SPLIT", f"axis {axis}", split)
    simple("SPLIT_V", "parts", [[2, 9, 3]], constants=[[2, -1, 3], 1], outputs=3, SplitVOptions=dict(numSplits=3))
    simple("SLICE", "middle", [[4, 5, 6]], constants=[[1, 0, 2], [2, -1, 3]], first=[2, 5, 3])
    simple("SLICE", "rank 4", [[2, 5, 6, 4]], constants=[[0, 1, 2, 1], [2, 3, -1, 2]], first=[2, 3, 4, 2])
    for label, begin, end, strides, fields in [
            ("plain", [0, 1, 1, 0], [2, 4, 5, 3], [1, 1, 1, 1], {}), ("strides", [0, 0, 1, 0], [2, 5, 6, 3], [1, 2, 3, 1], {}),
            ("masks", [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], dict(beginMask=15, endMask=15)),
            ("backwards", [-1, 4, 5, 2], [-3, 0, 0, -9], [-1, -2, -1, -1], {}),
            ("backwards masked", [0, 0, 0, 0], [0, 0, 0, 0], [-1, -1, 1, 1], dict(beginMask=15, endMask=15)),
            ("shrink", [0, 1, 0, 2], [2, 2, 6, 3], [1, 1, 1, 1], dict(shrinkAxisMask=10)),
            ("shrink from the end", [0, -1, 0, 0], [2, 0, 6, 3], [1, 1, 1, 1], dict(shrinkAxisMask=2)),
            ("ellipsis", [0, 0, 1], [1, 0, 3], [1, 1, 1], dict(ellipsisMask=2)),
            ("new axis", [0, 0, 1], [2, 0, 3], [1, 1, 1], dict(newAxisMask=2)),
            ("fewer entries", [0, 2], [1, 4], [1, 1], {})]:
        simple("STRIDED_SLICE", label, [[2, 5, 6, 3]], constants=[begin, end, strides], StridedSliceOptions=fields)
    paddings = [[0, 0], [1, 2], [3, 0], [0, 1]]
    simple("PAD", "rank 4", [[2, 3, 4, 5]], constants=[paddings])
    simple("PAD", "rank 2", [[3, 4]], constants=[[[1, 0], [0, 2]]])
    simple("PADV2", "rank 4", [[2, 3, 4, 5]], constants=[paddings, np.float32(-1.5)])
    simple("MIRROR_PAD", "reflect", [[2, 3, 4, 5]], constants=[[[0, 0], [1, 2], [3, 0], [0, 1]]], MirrorPadOptions=dict(mode=0))
    for shape, axis, indices in [([5, 3], 0, [4, 0, 2]), ([2, 5, 3], 1, [[1, 0], [4, 4]]), ([2, 4, 5, 3], 3, [2, 0]), ([5], 0, 3)]:
        simple("GATHER", f"{shape} axis {axis}", [shape], constants=[indices], GatherOptions=dict(axis=axis))


def resamplings():
    for operator, options in [("RESIZE_BILINEAR", "ResizeBilinearOptions"),
                              ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")]:
        for align, half in ((False, False), (True, False), (False, True)):
            for source, target in [((4, 5), (8, 10)), ((5, 4), (7, 9)), ((9, 8), (4, 3)), ((3, 3), (1, 1)), ((6, 6), (6, 6))]:
                simple(operator, f"align {align} half {half} {source} to {target}", [[2, *source, 3]],
                       constants=[list(target)], **{options: dict(alignCorners=align, halfPixelCenters=half)})
    simple("DEPTH_TO_SPACE", "2", [[1, 3, 4, 8]], DepthToSpaceOptions=dict(blockSize=2))
    simple("SPACE_TO_DEPTH", "2", [[1, 4, 6, 3]], SpaceToDepthOptions=dict(blockSize=2))


def image(b, channels=4):
    """A convolution's output [1, 6, 5, channels]: what follows is an image in octet."""
    made = b.model.tensor("image", [1, 6, 5, channels])
    b.model.op("CONV_2D", [b.input([1, 6, 5, 3]), b.weights(channels, 1, 1, 3), b.weights(channels)], [made],
               Conv2DOptions=dict(padding=VALID, strideH=1, strideW=1))
    return made


def on_images():
    """Operators behind a convolution: axes, constants and operands in the other order."""
    def behind(operator, label, constants=(), before=False, outputs=1, dtype=FLOAT, first=(1,), **options):
        def build(b, output):
            tensors = [b.constant(value) for value in constants]
            tensors = tensors + [image(b)] if before else [image(b)] + tensors
            b.model.op(operator, tensors, [output(dtype=dtype) for _ in range(outputs)], **options)
        case(operator, f"image {label}", build, first)

    weights = np.random.default_rng(0).normal(0, 1, [6, 5, 4]).astype(np.float32)
    for operator in "ADD MUL SUB MAXIMUM PRELU".split():
        behind(operator, "channels", [weights[0, 0]])
        behind(operator, "rank 3", [weights])
        behind(operator, "rows", [weights[:, :1, :1]])
    for operator in "MEAN SUM REDUCE_MAX".split():
        for axes, keep in [([1, 2], False), ([1, 2], True), ([3], False), ([1], True), ([2, 3], False), ([-1], True)]:
            behind(operator, f"{axes} keep {keep}", [axes], ReducerOptions=dict(keepDims=keep))
    for axis in (1, 3):
        behind("ARG_MAX", f"axis {axis}", [axis], dtype=INT32, ArgMaxOptions=dict(outputType=2))
    behind("SOFTMAX", "", SoftmaxOptions=dict(beta=1.0))
    behind("RESHAPE", "flatten", [[1, 120]])
    behind("SLICE", "", [[0, 1, 2, 1], [1, 3, -1, 2]], first=[1, 3, 3, 2])
    behind("STRIDED_SLICE", "", [[0, 1, 0, 1], [1, 6, 5, 4], [1, 2, 1, 2]], StridedSliceOptions={})
    behind("STRIDED_SLICE", "row", [[0, 1, 0, 0], [1, 2, 5, 4], [1, 1, 1, 1]], StridedSliceOptions=dict(shrinkAxisMask=2))
    behind("STRIDED_SLICE", "channel", [[0, 0, 0, 2], [1, 6, 5, 3], [1, 1, 1, 1]], StridedSliceOptions=dict(shrinkAxisMask=8))
    behind("PAD", "", [[[0, 0], [1, 2], [3, 0], [0, 1]]])
    behind("MIRROR_PAD", "", [[[0, 0], [1, 2], [3, 0], [0, 1]]], MirrorPadOptions=dict(mode=0))
    behind("TRANSPOSE", "to channels first", [[0, 3, 1, 2]])
    behind("GATHER", "channels", [[2, 0]], GatherOptions=dict(axis=3))
    behind("SHAPE", "", dtype=INT32, ShapeOptions=dict(outType=2))
    for axis in (1, 3):
        behind("SPLIT", f"axis {axis}", [axis], before=True, outputs=2, SplitOptions=dict(numSplits=2))
        behind("UNPACK", f"axis {axis}", outputs=(0, 6, 5, 4)[axis], UnpackOptions=dict(axis=axis, num=(0, 6, 5, 4)[axis]))
    behind("EXPAND_DIMS", "", [0])
    behind("LEAKY_RELU", "", LeakyReluOptions=dict(alpha=0.2))
    behind("FULLY_CONNECTED", "kept", [weights[0].T.copy().T], FullyConnectedOptions=dict(keepNumDims=True))

    def joined(b, output):
        made = image(b)
        b.model.op("CONCATENATION", [made, b.input([1, 6, 5, 2])], [output()], ConcatenationOptions=dict(axis=3))
    case("CONCATENATION", "image and input", joined)

    def lower_rank(b, output):
        b.model.op("ADD", [image(b), b.input([5, 4])], [output()], AddOptions={})
    case("ADD", "image and an input of rank 2", lower_rank)

    def reshaped(b, output):
        made = b.model.tensor("reshaped", [2, 3, 4, 1])
        b.model.op("RESHAPE", [b.input([2, 12]), b.constant([2, 3, 4, 1])], [made])
        b.model.op("CONV_2D", [made, b.weights(3, 2, 2, 1), b.weights(3)], [output()],
                   Conv2DOptions=dict(padding=SAME, strideH=1, strideW=1))
    case("RESHAPE", "to an image of one channel", reshaped)

    def classifier(b, output):
        pooled = b.model.tensor("pooled", [1, 1, 1, 4])
        flat = b.model.tensor("flat", [1, 4])
        b.model.op("MEAN", [image(b), b.constant([1, 2])], [pooled], ReducerOptions=dict(keepDims=True))
        b.model.op("SQUEEZE", [pooled], [flat], SqueezeOptions=dict(squeezeDims=[1, 2]))
        b.model.op("FULLY_CONNECTED", [flat, b.weights(3, 4), b.weights(3)], [output()], FullyConnectedOptions={})
    case("SQUEEZE", "behind MEAN of an image", classifier)

    def preprocessed(b, output):
        made = [b.model.tensor(f"step{i}", [2, 8 + i // 2, 8 + i // 2, 3]) for i in range(3)]
        b.model.op("MUL", [b.input([2, 8, 8, 3]), b.constant(np.float32(0.5))], [made[0]], MulOptions={})
        b.model.op("SUB", [made[0], b.weights(3)], [made[1]], SubOptions={})
        b.model.op("PAD", [made[1], b.constant([[0, 0], [0, 1], [0, 1], [0, 0]])], [made[2]])
        b.model.op("CONV_2D", [made[2], b.weights(4, 3, 3, 3), b.weights(4)], [output()],
                   Conv2DOptions=dict(padding=VALID, strideH=2, strideW=2))
    case("PAD", "between input and convolution", preprocessed)


def quantized():
    """Stated in integers where that changes nothing but the rounding of constants."""
    def weight_only(b, output):
        codes = b.random.integers(-127, 128, [5, 8])
        stored = b.model.tensor("codes", [5, 8], "int8", scale=[0.01, 0.02, 0.005, 0.03, 0.01], axis=0, data=codes)
        whole = b.model.tensor("weights", [5, 8])
        b.model.op("DEQUANTIZE", [stored], [whole])
        b.model.op("FULLY_CONNECTED", [b.input([3, 8]), whole, b.weights(5)], [output()], FullyConnectedOptions={})
    case("DEQUANTIZE", "int8 weights of FULLY_CONNECTED", weight_only)


def spreading():
    """Values repeated, made up or chosen."""
    def broadcast(b, output):
        b.model.op("BROADCAST_TO", [b.input([2, 1, 4]), b.constant([2, 3, 4])], [output()], version=2, BroadcastToOptions={})
    case("BROADCAST_TO", "along the middle", broadcast)

    for exclusive, reverse in itertools.product((False, True), repeat=2):
        def summed(b, output, exclusive=exclusive, reverse=reverse):
            b.model.op("CUMSUM", [b.input([2, 5, 3]), b.constant(1)], [output()],
                       CumsumOptions=dict(exclusive=exclusive, reverse=reverse))
        case("CUMSUM", f"exclusive {exclusive} reverse {reverse}", summed)

    def filled(b, output):
        made = b.model.tensor("filled", [2, 3])
        b.model.op("FILL", [b.constant([2, 3]), b.constant(np.float32(1.5))], [made], FillOptions={})
        b.model.op("ADD", [b.input([2, 3]), made], [output()], AddOptions={})
    case("FILL", "a constant", filled)

    def counted(b, output):
        made = b.model.tensor("counted", [6])
        b.model.op("RANGE", [b.constant(np.float32(0)), b.constant(np.float32(3)), b.constant(np.float32(0.5))], [made],
                   RangeOptions={})
        b.model.op("ADD", [b.input([2, 6]), made], [output()], AddOptions={})
    case("RANGE", "of floats", counted)

    def rest(b, output):
        b.model.op("FLOOR_MOD", [b.input([3, 5]), b.input([3, 5], 0.5, 2)], [output()], FloorModOptions={})
    case("FLOOR_MOD", "both signs", rest)

    def limited(b, output):
        b.model.op("RELU_0_TO_1", [b.input([3, 7])], [output()])
    case("RELU_0_TO_1", "plain", limited)

    def chosen(b, output):
        b.model.op("SELECT_V2", [b.input([3, 1], dtype=BOOL), b.input([3, 4]), b.input([1, 4])], [output()], SelectV2Options={})
    case("SELECT_V2", "broadcast", chosen)

    def tiled(b, output):
        b.model.op("TILE", [b.input([2, 3]), b.constant([2, 3])], [output()], TileOptions={})
    case("TILE", "both axes", tiled)


def all_cases():
    if not CASES:
        for family in (convolutions, transposed_convolutions, pools, products, elementwise, softmaxes, reductions, shapes,
                       pieces, resamplings, on_images, quantized, spreading):
            family()
    return CASES
