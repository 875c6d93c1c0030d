"""Well-known architectures with random weights, for latency alone: their layers have the shapes that people deploy.

BUILDERS[name](folder) writes folder/name.onnx and folder/name.npy (inputs to calibrate on) and gives both paths.
Needs onnx.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph of one image input; operators return the names of their results."""

    def __init__(self, size):
        self.shape = [1, 3, size, size]
        self.random = np.random.default_rng(0)
        self.nodes, self.weights, self.names = [], [], 0

    def name(self):
        self.names += 1
        return f"value_{self.names}"

    def constant(self, array):
        name = self.name()
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind, *inputs, outputs=1, **attributes):
        results = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, results, name=f"{kind}_{len(self.nodes)}", **attributes))
        return results[0] if outputs == 1 else results

    def tensor(self, *shape, fan_in):
        return self.constant((self.random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32))

    def conv(self, x, inputs, outputs, kernel=3, stride=1, groups=1, activation="Relu"):
        fan_in = inputs // groups * kernel * kernel
        y = self.op("Conv", x, self.tensor(outputs, inputs // groups, kernel, kernel, fan_in=fan_in),
                    self.constant(np.zeros(outputs, np.float32)), kernel_shape=[kernel] * 2, strides=[stride] * 2,
                    pads=[kernel // 2] * 4, group=groups)
        if activation == "SiLU":
            return self.op("Mul", y, self.op("Sigmoid", y))
        return self.op(activation, y) if activation else y

    def up(self, x, inputs, outputs):
        return self.op("ConvTranspose", x, self.tensor(inputs, outputs, 2, 2, fan_in=inputs),
                       kernel_shape=[2, 2], strides=[2, 2])

    def dense(self, x, inputs, outputs):
        return self.op("Gemm", x, self.tensor(outputs, inputs, fan_in=inputs),
                       self.constant(np.zeros(outputs, np.float32)), transB=1)

    def classify(self, x, channels):
        return self.dense(self.op("Flatten", self.op("GlobalAveragePool", x)), channels, 1000)

    def max_pool(self, x, kernel=2, pad=0):
        return self.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[2, 2], pads=[pad] * 4)

    def excite(self, x, channels, inner, gate):
        y = self.conv(self.op("GlobalAveragePool", x), channels, inner, 1)
        return self.op("Mul", x, self.op(gate, self.conv(y, inner, channels, 1, activation=None)))

    def inverted_residual(self, x, inputs, outputs, expanded, kernel, stride, activation, excite=0, gate="Sigmoid"):
        y = self.conv(x, inputs, expanded, 1, activation=activation) if expanded != inputs else x
        y = self.conv(y, expanded, expanded, kernel, stride, expanded, activation)
        y = self.excite(y, expanded, excite, gate) if excite else y
        y = self.conv(y, expanded, outputs, 1, activation=None)
        return self.op("Add", x, y) if stride == 1 and inputs == outputs else y

    def save(self, folder, name, output):
        path = folder / f"{name}.onnx"
        graph = helper.make_graph(
            self.nodes, name, [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), path)
        data = folder / f"{name}.npy"
        np.save(data, self.random.standard_normal([8, *self.shape[1:]]).astype(np.float32))
        return path, data


def resnet18(folder):
    net = Net(224)
    x, width = net.max_pool(net.conv("input", 3, 64, 7, 2), 3, 1), 64
    for outputs in (64, 128, 256, 512):
        for stride in (2 if outputs > width else 1, 1):
            y = net.conv(net.conv(x, width, outputs, 3, stride), outputs, outputs, activation=None)
            same = x if stride == 1 else net.conv(x, width, outputs, 1, stride, activation=None)
            x, width = net.op("Relu", net.op("Add", y, same)), outputs
    return net.save(folder, "resnet18", net.classify(x, 512))


def vgg11(folder):
    net = Net(128)
    x, width = "input", 3
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for outputs in stage:
            x, width = net.conv(x, width, outputs), outputs
        x = net.max_pool(x)
    x = net.op("Relu", net.dense(net.op("Flatten", x), 512 * 16, 2048))
    return net.save(folder, "vgg11", net.dense(x, 2048, 1000))


def mobilenet_v3(folder):
    net = Net(224)
    x, width = net.conv("input", 3, 16, 3, 2, activation="HardSwish"), 16
    rows = ((3, 16, 16, 0, "Relu", 1), (3, 64, 24, 0, "Relu", 2), (3, 72, 24, 0, "Relu", 1), (5, 72, 40, 1, "Relu", 2),
            (5, 120, 40, 1, "Relu", 1), (3, 240, 80, 0, "HardSwish", 2), (3, 200, 80, 0, "HardSwish", 1),
            (3, 480, 112, 1, "HardSwish", 1), (5, 672, 160, 1, "HardSwish", 2), (5, 960, 160, 1, "HardSwish", 1))
    for kernel, expanded, outputs, excited, activation, stride in rows:
        x = net.inverted_residual(x, width, outputs, expanded, kernel, stride, activation, excited * expanded // 4,
                                  "HardSigmoid")
        width = outputs
    return net.save(folder, "mobilenet_v3", net.classify(net.conv(x, width, 960, 1, activation="HardSwish"), 960))


def efficientnet_b0(folder):
    net = Net(224)
    x, width = net.conv("input", 3, 32, 3, 2, activation="SiLU"), 32
    for factor, kernel, stride, outputs, repeats in ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
                                                     (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)):
        for i in range(repeats):
            x = net.inverted_residual(x, width, outputs, factor * width, kernel, 1 if i else stride, "SiLU",
                                      max(width // 4, 4))
            width = outputs
    return net.save(folder, "efficientnet_b0", net.classify(net.conv(x, width, 1280, 1, activation="SiLU"), 1280))


def shufflenet_v2(folder):
    net = Net(224)
    x, width, size = net.max_pool(net.conv("input", 3, 24, 3, 2), 3, 1), 24, 56
    for outputs, repeats in ((116, 4), (232, 8), (464, 4)):
        half, size = outputs // 2, size // 2
        for i in range(repeats):
            if i == 0:
                kept = net.conv(net.conv(x, width, width, 3, 2, width, None), width, half, 1)
                part, inputs = x, width
            else:
                kept, part = net.op("Split", x, net.constant(np.array([half, half])), outputs=2, axis=1)
                inputs = half
            y = net.conv(net.conv(part, inputs, half, 1), half, half, 3, 1 if i else 2, half, None)
            x = net.op("Concat", kept, net.conv(y, half, half, 1), axis=1)
            x = net.op("Reshape", x, net.constant(np.array([1, 2, half, size, size])))
            x = net.op("Transpose", x, perm=[0, 2, 1, 3, 4])
            x, width = net.op("Reshape", x, net.constant(np.array([1, outputs, size, size]))), outputs
    return net.save(folder, "shufflenet_v2", net.classify(net.conv(x, width, 1024, 1), 1024))


def yolo_tiny(folder):
    net = Net(320)
    x, width, stages = "input", 3, []
    for outputs in (16, 32, 64, 128, 256):
        x, width = net.max_pool(net.conv(x, width, outputs, activation="LeakyRelu")), outputs
        stages.append(x)
    x = net.conv(net.conv(x, width, 512, activation="LeakyRelu"), 512, 128, 1, activation="LeakyRelu")
    x = net.op("Resize", x, "", net.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
               coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    x = net.conv(net.op("Concat", x, stages[3], axis=1), 256, 128, activation="LeakyRelu")
    return net.save(folder, "yolo_tiny", net.conv(x, 128, 255, 1, activation=None))


def unet(folder):
    net = Net(128)
    x, width, stages = "input", 3, []
    for outputs in (16, 32, 64, 128):
        x, width = net.conv(net.conv(x, width, outputs), outputs, outputs), outputs
        stages.append((x, width))
        x = net.max_pool(x)
    x, width = net.conv(x, width, 256), 256
    for kept, outputs in reversed(stages):
        x = net.conv(net.op("Concat", net.up(x, width, outputs), kept, axis=1), 2 * outputs, outputs)
        width = outputs
    return net.save(folder, "unet", net.conv(x, width, 4, 1, activation=None))


BUILDERS = {f.__name__: f for f in (resnet18, vgg11, mobilenet_v3, efficientnet_b0, shufflenet_v2, yolo_tiny, unet)}
