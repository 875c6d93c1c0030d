"""Networks as PyTorch's TorchScript exporter writes them: shape arithmetic in the graph, decomposed activations,
Constant nodes, BatchNorm folded into convolutions, weights shared through Identity."""

import numpy as np
from onnx import TensorProto

from . import blocks, data
from .net import Net, Network, NumberNames, TorchScriptNames

CALIBRATION, EVALUATION, FIT = 64, 256, 256


def image_data(size, classes=8, count=EVALUATION):
    calibration, _ = data.textures(CALIBRATION, size, classes, seed=1)
    evaluation, labels = data.textures(count, size, classes, seed=2)
    return {"input": calibration}, {"input": evaluation}, labels


def image_net(name, opset, names, seed, size, classes=8, batch="batch_size"):
    net = Net(name, opset, names, seed)
    x, labels = data.textures(FIT, size, classes, seed=3)
    net.input("input", x, [batch, 3, size, size])
    net.labels = labels
    return net, "input", labels


def squeezenet():
    """Opset 9: weights are graph inputs too, Dropout left in, a weight that nobody reads, batch of one."""
    net, x, labels = image_net("squeezenet", 9, NumberNames(), 11, 64, batch=1)
    net.weights_as_inputs = True

    def conv_relu(x, name, *sizes, **options):
        with net.scope(name):
            return net.op("Relu", blocks.conv(net, x, *sizes, **options))

    def fire(x, name, squeeze, expand):
        with net.scope(name):
            x = conv_relu(x, "squeeze", squeeze, 1)
            return net.op("Concat", conv_relu(x, "expand1x1", expand, 1), conv_relu(x, "expand3x3", expand, 3), axis=1)

    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 0, 0]}
    x = net.op("MaxPool", conv_relu(x, "features.0", 32, 3, 2), **pool)
    x = fire(fire(x, "features.3", 8, 32), "features.4", 12, 32)
    x = net.op("MaxPool", x, **pool)
    x = fire(fire(x, "features.6", 16, 48), "features.7", 16, 64)
    x = net.op("Dropout", x, ratio=0.5)
    with net.scope("classifier.1"):  # a trained 1x1 convolution whose pooled output is the class score
        weight, bias = blocks.classifier(net.values[x].mean((2, 3)), labels)
        x = net.op("Conv", x, net.weight(weight.T[:, :, None, None]), net.weight(bias, "bias"), kernel_shape=[1, 1],
                   strides=[1, 1], pads=[0, 0, 0, 0])
    net.weight(net.rng.standard_normal((8, 8)), name="unused.weight")
    x = net.op("GlobalAveragePool", x)
    net.output(net.op("Reshape", x, net.constant(np.array([1, -1])), out="output"), [1, 8])
    return Network(net, *image_data(64), fixed_batch=1)


def densenet():
    """Opset 11: BatchNorm before Relu before Conv, so it cannot be folded; concatenations of many values."""
    net, x, labels = image_net("densenet", 11, NumberNames(), 12, 32)

    def norm_relu_conv(x, name, *sizes):
        with net.scope(name):
            return blocks.conv(net, net.op("Relu", blocks.batch_norm(net, x)), *sizes, norm="fold")

    with net.scope("features.conv0"):
        x = net.op("Relu", blocks.conv(net, x, 24, 3, 1))
    for block, layers in enumerate((4, 4, 4)):
        values = [x]
        for layer in range(layers):
            name = f"features.denseblock{block + 1}.denselayer{layer + 1}"
            joined = net.op("Concat", *values, axis=1) if layer else x
            values.append(norm_relu_conv(norm_relu_conv(joined, name + ".1", 32, 1), name + ".2", 12, 3))
        x = net.op("Concat", *values, axis=1)
        if block < 2:
            x = norm_relu_conv(x, f"features.transition{block + 1}", net.shape(x)[1] // 2, 1)
            x = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    with net.scope("features.norm5"):
        x = net.op("Relu", blocks.batch_norm(net, x))
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    with net.scope("classifier"):
        x = blocks.gemm(net, x, 8, blocks.classifier(net.values[x], labels), out="output")
    net.output(x, ["batch_size", 8])
    return Network(net, *image_data(32))


def silu(net, x):
    return net.op("Mul", x, net.op("Sigmoid", x))


def squeeze_excite(net, x, channels, inner, gate):
    y = net.op("GlobalAveragePool", x)
    with net.scope("fc1"):
        y = inner(net, blocks.conv(net, y, channels, 1))
    with net.scope("fc2"):
        y = gate(net, blocks.conv(net, y, net.shape(x)[1], 1))
    return net.op("Mul", y, x)


def inverted_residual(net, x, out, kernel, stride, expansion, activation, excite):
    y, channels = x, net.shape(x)[1]
    if expansion > 1:
        with net.scope("expand"):
            y = activation(net, blocks.conv(net, y, channels * expansion, 1, kind="Conv"))
    with net.scope("depthwise"):
        y = activation(net, blocks.conv(net, y, net.shape(y)[1], kernel, stride, groups=net.shape(y)[1], kind="Conv"))
    if excite:
        with net.scope("se"):
            y = excite(net, y)
    with net.scope("project"):
        y = blocks.conv(net, y, out, 1, kind="Conv")
    return net.op("Add", y, x) if stride == 1 and channels == out else y


def efficientnet():
    """Opset 13: SiLU as Sigmoid and Mul, squeeze-and-excite, depthwise 3x3 and 5x5, residuals."""
    net, x, labels = image_net("efficientnet", 13, TorchScriptNames(), 13, 48)

    def excite(net, y):
        return squeeze_excite(net, y, max(4, net.shape(y)[1] // 16), silu, lambda n, v: n.op("Sigmoid", v))

    with net.scope("features.0"):
        x = silu(net, blocks.conv(net, x, 16, 3, 2, kind="Conv"))
    plan = [(16, 3, 1, 1), (24, 3, 2, 4), (24, 3, 1, 4), (40, 5, 2, 4), (40, 5, 1, 4), (64, 3, 1, 4), (64, 3, 1, 4)]
    for n, (out, kernel, stride, expansion) in enumerate(plan):
        with net.scope(f"features.{n + 1}"):
            x = inverted_residual(net, x, out, kernel, stride, expansion, silu, excite)
    with net.scope("features.8"):
        x = silu(net, blocks.conv(net, x, 160, 1, kind="Conv"))
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    with net.scope("classifier.1"):
        x = blocks.gemm(net, x, 8, blocks.classifier(net.values[x], labels), out="output")
    net.output(x, ["batch_size", 8])
    return Network(net, *image_data(48))


def relu6_swish(net, x):
    """x * relu6(x + 3) / 6 as a user writes it."""
    y = net.op("Add", x, net.constant(np.float32(3)))
    y = net.op("Clip", y, net.constant(np.float32(0)), net.constant(np.float32(6)))
    return net.op("Div", net.op("Mul", x, y), net.constant(np.float32(6)))


def sigmoid_swish(net, x):
    """nn.Hardswish up to opset 13."""
    return net.op("Mul", x, net.op("HardSigmoid", x, alpha=float(np.float32(1 / 6)), beta=0.5))


def mobilenetv3_torchscript():
    """Opset 11: HardSwish in two decomposed forms, a bias shared through Identity, Flatten by shape arithmetic."""
    net, x, labels = image_net("mobilenetv3_ts", 11, TorchScriptNames(), 14, 48)

    def excite(net, y):
        return squeeze_excite(net, y, max(8, net.shape(y)[1] // 4), lambda n, v: n.op("Relu", v),
                              lambda n, v: n.op("HardSigmoid", v, alpha=float(np.float32(1 / 6)), beta=0.5))

    def relu(net, x):
        return net.op("Relu", x)

    with net.scope("features.0"):
        x = relu6_swish(net, blocks.conv(net, x, 16, 3, 2, kind="Conv"))
    plan = [(16, 3, 2, 1, relu, excite), (24, 3, 2, 4, relu, None), (24, 3, 1, 4, relu, None),
            (40, 5, 2, 4, relu6_swish, excite), (40, 5, 1, 4, sigmoid_swish, excite), (40, 5, 1, 4, relu6_swish, excite)]
    for n, (out, kernel, stride, expansion, activation, se) in enumerate(plan):
        with net.scope(f"features.{n + 1}"):
            x = inverted_residual(net, x, out, kernel, stride, expansion, activation, se)
    with net.scope("features.12"):
        x = sigmoid_swish(net, blocks.conv(net, x, 160, 1, kind="Conv"))
    x = net.op("GlobalAveragePool", x)
    batch = net.op("Unsqueeze", net.op("Gather", net.op("Shape", x), net.constant(np.array(0)), axis=0), axes=[0])
    x = net.op("Reshape", x, net.op("Concat", batch, net.constant(np.array([-1])), axis=0))
    with net.scope("classifier.0"):
        x = sigmoid_swish(net, blocks.gemm(net, x, 128))
    x = net.op("Dropout", x)
    with net.scope("classifier.3"):
        weight, bias = blocks.classifier(net.values[x], labels)
        shared = net.op("Identity", net.weight(bias, "bias"))
        x = net.op("Gemm", x, net.weight(weight.T), shared, transB=1, out="output")
    net.output(x, ["batch_size", 8])
    return Network(net, *image_data(48, count=1024))


def unet():
    """Opset 17: transposed convolutions on one level, Resize of given sizes on the other, skip connections."""
    net = Net("unet", 17, TorchScriptNames(), 15)
    images, labels = data.regions(48, 48, seed=3)
    x = net.input("input", images, ["batch", 3, "height", "width"])

    def double_conv(x, name, channels):
        for n in range(2):
            with net.scope(f"{name}.{n}"):
                x = net.op("Relu", blocks.conv(net, x, channels, 3, kind="Conv"))
        return x

    def pool(x):
        return net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=0)

    first = double_conv(x, "inc", 16)
    second = double_conv(pool(first), "down1", 24)
    third = double_conv(pool(second), "down2", 32)
    fourth = double_conv(pool(third), "down3", 48)
    with net.scope("up1"):
        x = blocks.conv_transpose(net, fourth, 32)
    x = double_conv(net.op("Concat", third, x, axis=1), "up1.conv", 32)
    with net.scope("up2"):
        batch_channels = net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(2), net.ints(0))
        size = net.op("Slice", net.op("Shape", second), net.ints(2), net.ints(4), net.ints(0))
        x = net.op("Resize", x, "", "", net.op("Concat", batch_channels, size, axis=0), mode="linear",
                   coordinate_transformation_mode="pytorch_half_pixel", cubic_coeff_a=-0.75, nearest_mode="floor")
    x = double_conv(net.op("Concat", second, x, axis=1), "up2.conv", 24)
    with net.scope("up3"):
        scales = net.constant(np.float32([1, 1, 2, 2]))
        x = net.op("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                   cubic_coeff_a=-0.75, nearest_mode="floor")
    x = double_conv(net.op("Concat", first, x, axis=1), "up3.conv", 16)
    with net.scope("outc"):
        features = net.values[x].transpose(0, 2, 3, 1).reshape(-1, 16)
        weight, bias = blocks.fit(features, blocks.one_hot(labels.ravel()))
        x = net.op("Conv", x, net.weight(weight.T[:, :, None, None]), net.weight(bias, "bias"), out="mask",
                   kernel_shape=[1, 1], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1], group=1)
    net.output(x, ["batch", 4, "height", "width"])
    return Network(net, {"input": data.regions(CALIBRATION, 48, seed=1)[0]},
                   {"input": data.regions(32, 48, seed=2)[0]}, other={"input": data.regions(2, 72, seed=4)[0]})


def ssd():
    """Opset 16: one head shared by three scales, Reshape by shape arithmetic, boxes decoded with Exp, two outputs."""
    net, x, _ = image_net("ssd", 16, TorchScriptNames(), 16, 64)
    classes, anchors, features = 5, 3, []
    for n, (out, stride) in enumerate([(16, 2), (32, 2), (32, 1), (48, 2), (64, 2)]):
        with net.scope(f"backbone.{n}"):
            x = net.op("LeakyRelu", blocks.conv(net, x, out, 3, stride, kind="Conv"), alpha=0.1)
        if n >= 2:
            with net.scope(f"neck.{n}"):
                features.append(net.op("Relu", blocks.conv(net, x, 32, 1)))
    with net.scope("head.cls"):
        weight = net.weight(blocks.he(net, (anchors * classes, 32, 3, 3), 288) * 1.5)
        scores = weight, net.weight(net.rng.normal(-1, 0.5, anchors * classes), "bias")
    with net.scope("head.box"):
        weight = net.weight(blocks.he(net, (anchors * 4, 32, 3, 3), 288) * 0.5)
        boxes = weight, net.weight(net.rng.normal(0, 0.2, anchors * 4), "bias")

    def predict(x, name, weights, last):
        with net.scope(name):
            y = net.op("Conv", x, *weights, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
            shape = net.op("Shape", y)
            batch, height, width = (net.op("Gather", shape, net.constant(np.array(n)), axis=0) for n in (0, 2, 3))
            y = net.op("Transpose", y, perm=[0, 2, 3, 1])
            count = net.op("Mul", net.op("Mul", height, width), net.constant(np.array(anchors)))
            dims = [net.op("Unsqueeze", v, net.constant(np.array([0]))) for v in (batch, count)]
            return net.op("Reshape", y, net.op("Concat", *dims, net.constant(np.array([last])), axis=0))

    logits = net.op("Concat", *[predict(f, f"head.cls{n}", scores, classes) for n, f in enumerate(features)], axis=1)
    deltas = net.op("Concat", *[predict(f, f"head.box{n}", boxes, 4) for n, f in enumerate(features)], axis=1)
    net.op("Softmax", logits, axis=-1, out="scores")
    count = net.shape(deltas)[1]
    sizes = net.weight(net.rng.uniform(0.1, 0.4, (1, count, 2)), "const")
    centres = net.weight(net.rng.uniform(0.1, 0.9, (1, count, 2)), "const")
    shift, growth = net.op("Split", deltas, net.ints(2, 2), outs=2, axis=2)
    shift = net.op("Mul", net.op("Mul", shift, net.constant(np.float32(0.1))), sizes)
    centre = net.op("Add", shift, centres)
    extent = net.op("Mul", net.op("Exp", net.op("Mul", growth, net.constant(np.float32(0.2)))), sizes)
    half = net.op("Div", extent, net.constant(np.float32(2)))
    net.op("Concat", net.op("Sub", centre, half), net.op("Add", centre, half), axis=2, out="boxes")
    net.output("scores", ["batch_size", count, classes])
    net.output("boxes", ["batch_size", count, 4])
    calibration, evaluation, _ = image_data(64)
    return Network(net, calibration, {"input": evaluation["input"][:64]})


def lstm():
    """Opset 12: embeddings, two recurrent layers (one in both directions), zero initial states by shape arithmetic."""
    net = Net("lstm", 12, NumberNames(), 17)
    vocabulary, width, hidden, length = 400, 48, 40, 24
    ids, _, labels = data.sentences(FIT, length, vocabulary, seed=3)
    x = net.input("tokens", ids, ["batch", "sequence"])
    with net.scope("embedding"):
        x = net.op("Gather", net.weight(net.rng.standard_normal((vocabulary, width)) * 0.7), x)
    x = net.op("Transpose", x, perm=[1, 0, 2])

    def layer(x, name, directions):
        with net.scope(name):
            inputs = net.shape(x)[2]
            batch = net.op("Unsqueeze", net.op("Gather", net.op("Shape", x), net.constant(np.array(1)), axis=0),
                           axes=[0])
            dims = [net.constant(np.array([directions])), batch, net.constant(np.array([hidden]))]
            shape = net.op("Concat", *dims, axis=0)
            zeros = net.op("ConstantOfShape", shape)
            scale = 1.4 / np.sqrt(inputs + hidden)
            weights = [net.weight(net.rng.standard_normal((directions, 4 * hidden, n)) * scale, kind)
                       for n, kind in ((inputs, "weight_ih"), (hidden, "weight_hh"))]
            bias = net.weight(net.rng.normal(0, 0.1, (directions, 8 * hidden)), "bias_all")
            y = net.op("LSTM", x, *weights, bias, "", zeros, zeros, outs=3, hidden_size=hidden,
                       direction="bidirectional" if directions == 2 else "forward")[0]
            if directions == 1:
                return net.op("Squeeze", y, axes=[1])
            y = net.op("Transpose", y, perm=[0, 2, 1, 3])
            return net.op("Reshape", y, net.constant(np.array([0, 0, -1])))

    x = layer(layer(x, "rnn.l0", 2), "rnn.l1", 1)
    with net.scope("pool"):
        x = net.op("Gather", x, net.constant(np.array(-1)), axis=0)
    with net.scope("fc1"):
        x = net.op("Relu", blocks.gemm(net, x, 64))
    with net.scope("fc2"):
        x = blocks.gemm(net, x, 4, blocks.classifier(net.values[x], labels), out="logits")
    net.output(x, ["batch", 4])
    evaluation, _, labels = data.sentences(2048, length, vocabulary, seed=2)
    return Network(net, {"tokens": data.sentences(CALIBRATION, length, vocabulary, seed=1)[0]},
                   {"tokens": evaluation}, labels, {"tokens": data.sentences(3, 2 * length, vocabulary, seed=4)[0]})
