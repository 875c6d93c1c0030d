"""Networks as PyTorch's dynamo exporter writes them: opset 18, fused operators, value_info of every value."""

import numpy as np

from . import blocks, data
from .net import DynamoNames, Net, Network
from .torchscript import image_data, image_net, inverted_residual


def pooled(net, x):
    return net.op("ReduceMean", x, net.ints(2, 3), keepdims=1, noop_with_empty_axes=0)


def flattened(net, x):
    return net.op("Reshape", x, net.ints(-1, net.shape(x)[1]), allowzero=1)


def classify(net, x, labels):
    with net.scope("classifier"):
        x = blocks.gemm(net, x, 8, blocks.classifier(net.values[x], labels), out="output")
    net.output(x, ["s0", 8])


def mobilenetv3():
    """HardSwish and HardSigmoid operators, squeeze-and-excite with ReduceMean."""
    net, x, labels = image_net("mobilenetv3", 18, DynamoNames(), 21, 48, batch="s0")

    def hard_swish(net, x):
        return net.op("HardSwish", x)

    def relu(net, x):
        return net.op("Relu", x)

    def excite(net, x):
        y = pooled(net, x)
        with net.scope("fc1"):
            y = relu(net, blocks.conv(net, y, max(8, net.shape(x)[1] // 4), 1))
        with net.scope("fc2"):
            y = net.op("HardSigmoid", blocks.conv(net, y, net.shape(x)[1], 1), alpha=float(np.float32(1 / 6)), beta=0.5)
        return net.op("Mul", y, x)

    with net.scope("features.0"):
        x = hard_swish(net, blocks.conv(net, x, 16, 3, 2))
    plan = [(16, 3, 2, 1, relu, excite), (24, 3, 2, 4, relu, None), (24, 3, 1, 4, relu, None),
            (40, 5, 2, 4, hard_swish, excite), (40, 5, 1, 4, hard_swish, excite), (48, 5, 1, 3, hard_swish, excite)]
    for n, (out, kernel, stride, expansion, activation, se) in enumerate(plan):
        with net.scope(f"features.{n + 1}"):
            x = inverted_residual(net, x, out, kernel, stride, expansion, activation, se)
    with net.scope("features.12"):
        x = hard_swish(net, blocks.conv(net, x, 160, 1))
    x = flattened(net, pooled(net, x))
    with net.scope("classifier.0"):
        x = hard_swish(net, blocks.gemm(net, x, 128))
    classify(net, x, labels)
    net.state_shapes()
    return Network(net, *image_data(48, count=1024))


def resnext():
    """Grouped convolutions with BatchNorm kept as nodes, strided shortcuts."""
    net, x, labels = image_net("resnext", 18, DynamoNames(), 22, 48, batch="s0")

    def bottleneck(x, name, width, out, stride):
        with net.scope(name):
            y = x
            for n, (channels, kernel, step, groups) in enumerate([(width, 1, 1, 1), (width, 3, stride, 8),
                                                                  (out, 1, 1, 1)]):
                with net.scope(f"conv{n + 1}"):
                    y = blocks.conv(net, y, channels, kernel, step, groups=groups, norm="keep")
                if n < 2:
                    y = net.op("Relu", y)
            if stride > 1 or net.shape(x)[1] != out:
                with net.scope("downsample"):
                    x = blocks.conv(net, x, out, 1, stride, norm="keep")
            return net.op("Relu", net.op("Add", y, x))

    with net.scope("conv1"):
        x = net.op("Relu", blocks.conv(net, x, 32, 5, 2, norm="keep"))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=0, storage_order=0,
               dilations=[1, 1], auto_pad="NOTSET")
    for n, (width, out, stride) in enumerate([(32, 64, 1), (32, 64, 1), (64, 128, 2), (64, 128, 1)]):
        x = bottleneck(x, f"layer{n}", width, out, stride)
    classify(net, flattened(net, pooled(net, x)), labels)
    net.state_shapes()
    return Network(net, *image_data(48))
