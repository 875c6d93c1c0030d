"""Networks as tf2onnx writes them: NHWC inputs, transposes around convolutions, asymmetric SAME padding."""

import numpy as np

from . import blocks, data
from .net import Net, Network, TensorFlowNames
from .torchscript import CALIBRATION

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def same_pads(size, kernel, stride, dilation=1):
    """TensorFlow's SAME: the odd pixel goes to the end."""
    total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return [total // 2, total // 2, total - total // 2, total - total // 2]


def deeplab():
    """Opset 13: NHWC input and output, dilated convolutions, spatial pyramid with image pooling, linear Resize."""
    net, size, classes = Net("deeplab", 13, TensorFlowNames(), 31), 48, 4
    images, labels = data.regions(48, size, seed=3)
    x = net.input("input_1:0", np.ascontiguousarray(images.transpose(0, 2, 3, 1)), ["unk__1", size, size, 3])

    def nchw(x):
        return net.op("Transpose", x, perm=TO_NCHW)

    def nhwc(x):
        return net.op("Transpose", x, perm=TO_NHWC)

    def relu6(x):
        return net.op("Clip", x, net.weight(np.float32(0), "const"), net.weight(np.float32(6), "const"))

    def conv(x, name, out, kernel, stride=1, dilation=1, groups=1):
        with net.scope(name):
            pads = same_pads(net.shape(x)[2], kernel, stride, dilation)
            return relu6(blocks.conv(net, x, out, kernel, stride, pads, groups, dilation, kind="const"))

    def block(x, name, out, stride, dilation):
        """An inverted residual whose sum tf2onnx left in NHWC, with Pad before the strided depthwise convolution."""
        with net.scope(name):
            channels = net.shape(x)[1]
            y = conv(x, "expand", channels * 4, 1)
            if stride == 2:
                pads = same_pads(net.shape(y)[2], 3, 2)
                pads = net.ints(0, pads[0], pads[1], 0, 0, pads[2], pads[3], 0)
                y = nchw(net.op("Pad", nhwc(y), pads, net.weight(np.float32(0), "const"), mode="constant"))
                with net.scope("depthwise"):
                    y = relu6(blocks.conv(net, y, channels * 4, 3, 2, [0] * 4, channels * 4, kind="const"))
            else:
                y = conv(y, "depthwise", channels * 4, 3, 1, dilation, channels * 4)
            with net.scope("project"):
                y = blocks.conv(net, y, out, 1, kind="const")
            if stride == 1 and channels == out:
                y = nchw(net.op("Add", nhwc(x), nhwc(y)))
            return y

    x = conv(nchw(x), "Conv1", 16, 3, 2)
    for n, (out, stride, dilation) in enumerate([(24, 2, 1), (24, 1, 1), (32, 1, 2), (32, 1, 4)]):
        x = block(x, f"block_{n}", out, stride, dilation)
    side = net.shape(x)[2]
    branches = [conv(x, "aspp0", 32, 1)] + [conv(x, f"aspp{r}", 32, 3, 1, r) for r in (2, 3, 5)]
    with net.scope("image_pooling"):
        y = net.op("ReduceMean", nhwc(x), axes=[1, 2], keepdims=1)
        y = conv(nchw(y), "conv", 32, 1)
        y = net.op("Resize", y, "", "", net.op("Concat", net.op("Slice", net.op("Cast", net.op("Shape", y), to=7),
                   net.ints(0), net.ints(2), net.ints(0)), net.ints(side, side), axis=0), mode="linear",
                   coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_floor")
    branches.append(y)
    x = conv(net.op("Concat", *branches, axis=1), "concat_projection", 48, 1)
    with net.scope("logits"):
        step = size // side
        features = net.values[x].transpose(0, 2, 3, 1).reshape(-1, 48)
        coarse = labels[:, step // 2::step, step // 2::step].ravel()
        weight, bias = blocks.fit(features, blocks.one_hot(coarse, classes))
        x = net.op("Conv", x, net.weight(weight.T[:, :, None, None]), kernel_shape=[1, 1], strides=[1, 1],
                   dilations=[1, 1], group=1, auto_pad="SAME_UPPER")
        x = net.op("Add", x, net.weight(bias.reshape(1, -1, 1, 1), "const"))
        x = net.op("Resize", x, net.weight(np.zeros(0), "const"), net.weight(np.float32([1, 1, step, step]), "const"),
                   mode="linear", coordinate_transformation_mode="align_corners", nearest_mode="round_prefer_floor")
    x = net.op("Transpose", x, perm=TO_NHWC, out="Identity:0")
    net.output(x, ["unk__2", size, size, classes])

    def feed(count, seed):
        return {"input_1:0": np.ascontiguousarray(data.regions(count, size, seed=seed)[0].transpose(0, 2, 3, 1))}
    return Network(net, feed(CALIBRATION, 1), feed(32, 2))


def autoencoder():
    """Opset 10: MLPerf Tiny's anomaly detector, 640-128-128-8-128-128-640, BatchNorm of Keras as Mul and Add."""
    net, width = Net("autoencoder", 10, TensorFlowNames(), 32), 640
    rows, _ = data.spectra(512, width, seed=3)
    x = net.input("input_1:0", rows, ["unk__5", width])
    for n, units in enumerate((128, 128, 8, 128, 128)):
        with net.scope(f"dense_{n}"):
            weight = blocks.he(net, (units, net.shape(x)[1]), net.shape(x)[1]).T
            x = net.op("MatMul", x, net.weight(np.ascontiguousarray(weight), "MatMul"))
            x = net.op("Add", x, net.weight(net.rng.normal(0, 0.2, units), "BiasAdd"))
        with net.scope(f"batch_normalization_{n}"):
            mean, variance = blocks.statistics(net.values[x])
            gamma, beta = blocks.norm_parameters(net, units)
            factor = gamma / np.sqrt(variance)
            x = net.op("Mul", x, net.weight(factor, "mul"))
            x = net.op("Add", x, net.weight(beta - mean * factor, "sub"))
        with net.scope(f"activation_{n}"):
            x = net.op("Relu", x)
    with net.scope("dense_5"):
        weight, bias = blocks.fit(net.values[x], rows)
        x = net.op("MatMul", x, net.weight(weight, "MatMul"))
        x = net.op("Add", x, net.weight(bias, "BiasAdd"), out="Identity:0")
    net.output(x, ["unk__6", width])
    return Network(net, {"input_1:0": data.spectra(CALIBRATION, width, seed=1)[0]},
                   {"input_1:0": data.spectra(256, width, seed=2)[0]})
