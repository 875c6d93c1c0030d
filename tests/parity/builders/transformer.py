"""A two-layer transformer encoder: token ids and a mask in, class scores out, batch and sequence length dynamic."""

import numpy as np
from onnx import TensorProto

from . import blocks, data
from .net import DynamoNames, Net, Network, TorchScriptNames

VOCABULARY, HIDDEN, HEADS, INNER, LAYERS, POSITIONS, LENGTH = 500, 256, 4, 1024, 2, 256, 32
HEAD = HIDDEN // HEADS


class TorchScriptStyle:
    """Opset 14: LayerNormalization and Gelu taken apart, shapes computed in the graph, additive mask."""
    opset = 14

    def __init__(self, net):
        self.net = net

    def constant(self, number):
        return self.net.constant(np.asarray(number))

    def layer_norm(self, x, gamma, beta):
        net = self.net
        centred = net.op("Sub", x, net.op("ReduceMean", x, axes=[-1]))
        square = net.op("Pow", centred, self.constant(np.float32(2)))
        variance = net.op("Add", net.op("ReduceMean", square, axes=[-1]), self.constant(np.float32(1e-12)))
        return net.op("Add", net.op("Mul", net.op("Div", centred, net.op("Sqrt", variance)), gamma), beta)

    def gelu(self, x):
        net = self.net
        y = net.op("Erf", net.op("Div", x, self.constant(np.float32(np.sqrt(2)))))
        y = net.op("Mul", x, net.op("Add", y, self.constant(np.float32(1))))
        return net.op("Mul", y, self.constant(np.float32(0.5)))

    def dims(self, x):
        """Batch and sequence length of x, each as one element."""
        net = self.net
        return [net.op("Unsqueeze", net.op("Gather", net.op("Shape", x), self.constant(n), axis=0),
                       self.constant([0])) for n in (0, 1)]

    def split_heads(self, x):
        net = self.net
        shape = net.op("Concat", *self.dims(x), self.constant([HEADS]), self.constant([HEAD]), axis=0)
        return net.op("Reshape", x, shape)

    def join_heads(self, x):
        shape = self.net.op("Concat", *self.dims(x), self.constant([HIDDEN]), axis=0)
        return self.net.op("Reshape", x, shape)

    def position_ids(self, ids):
        net = self.net
        buffer = net.constant(np.arange(POSITIONS)[None])
        length = self.dims(ids)[1]
        return net.op("Slice", buffer, self.constant([0]), length, self.constant([1]), self.constant([1]))

    def mask(self, mask):
        net = self.net
        for axis in (1, 2):
            mask = net.op("Unsqueeze", mask, self.constant([axis]))
        keep = net.op("Cast", mask, to=TensorProto.FLOAT)
        return net.op("Mul", net.op("Sub", self.constant(np.float32(1)), keep), self.constant(np.finfo(np.float32).min))

    def masked(self, scores, mask):
        scaled = self.net.op("Div", scores, self.constant(np.float32(np.sqrt(HEAD))))
        return self.net.op("Add", scaled, mask)


class DynamoStyle:
    """Opset 20: operators LayerNormalization and Gelu, mask by Where, scale before the product."""
    opset = 20

    def __init__(self, net):
        self.net = net

    def layer_norm(self, x, gamma, beta):
        return self.net.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-12, stash_type=1)

    def gelu(self, x):
        return self.net.op("Gelu", x, approximate="none")

    def dims(self, x):
        return [self.net.op("Shape", x, start=n, end=n + 1) for n in (0, 1)]

    def split_heads(self, x):
        net = self.net
        shape = net.op("Concat", *self.dims(x), net.ints(-1), net.ints(HEAD), axis=0)
        return net.op("Reshape", x, shape, allowzero=1)

    def join_heads(self, x):
        return self.net.op("Reshape", x, self.net.op("Concat", *self.dims(x), self.net.ints(HIDDEN), axis=0),
                           allowzero=1)

    def position_ids(self, ids):
        net = self.net
        length = net.op("Squeeze", self.dims(ids)[1])
        row = net.op("Range", net.weight(np.array(0), "const"), length, net.weight(np.array(1), "const"))
        return net.op("Unsqueeze", row, net.ints(0))

    def mask(self, mask):
        net = self.net
        keep = net.op("Unsqueeze", net.op("Cast", mask, to=TensorProto.BOOL), net.ints(1, 2))
        return net.op("Where", keep, net.weight(np.float32(0), "const"), net.weight(np.float32(-np.inf), "const"))

    def masked(self, scores, mask):
        return self.net.op("Add", self.net.op("Mul", scores, self.net.weight(np.float32(HEAD ** -0.5), "const")), mask)


def linear(net, x, name, out, gain=1.0):
    """Linear on three axes: MatMul and Add; returns its output."""
    with net.scope(name):
        weight, bias = blocks.dense_weights(net, x, out)
        y = net.op("MatMul", x, net.weight(np.ascontiguousarray(gain * weight), "MatMul"))
        return net.op("Add", net.weight(gain * bias, "bias"), y)


def normed(net, style, x, name):
    with net.scope(name):
        gamma, beta = blocks.norm_parameters(net, HIDDEN)
        return style.layer_norm(x, net.weight(gamma), net.weight(beta * 0.5, "bias"))


def attention(net, style, x, mask):
    with net.scope("attention"):
        query, key, value = (style.split_heads(linear(net, x, n, HIDDEN, gain))
                             for n, gain in (("query", 0.5), ("key", 0.5), ("value", 1.0)))
        query = net.op("Transpose", query, perm=[0, 2, 1, 3])
        key = net.op("Transpose", key, perm=[0, 2, 3, 1])
        value = net.op("Transpose", value, perm=[0, 2, 1, 3])
        weights = net.op("Softmax", style.masked(net.op("MatMul", query, key), mask), axis=-1)
        y = net.op("Transpose", net.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        return linear(net, style.join_heads(y), "output", HIDDEN, 0.7)


def build(name, names, make_style, seed):
    net = Net(name, make_style.opset, names, seed)
    style = make_style(net)
    ids, mask, labels = data.sentences(192, LENGTH, VOCABULARY, seed=3)
    ids = net.input("input_ids", ids, ["batch_size", "sequence"])
    mask = net.input("attention_mask", mask, ["batch_size", "sequence"])
    with net.scope("embeddings.word"):
        x = net.op("Gather", net.weight(net.rng.standard_normal((VOCABULARY, HIDDEN)) * 0.8), ids, axis=0)
    with net.scope("embeddings.position"):
        table = net.weight(net.rng.standard_normal((POSITIONS, HIDDEN)) * 0.3)
        x = net.op("Add", x, net.op("Gather", table, style.position_ids(ids), axis=0))
    x = normed(net, style, x, "embeddings.norm")
    with net.scope("encoder"):
        mask = style.mask(mask)
    for n in range(LAYERS):
        with net.scope(f"encoder.layer.{n}"):
            x = normed(net, style, net.op("Add", attention(net, style, x, mask), x), "attention.norm")
            y = linear(net, style.gelu(linear(net, x, "intermediate", INNER)), "output", HIDDEN, 0.7)
            x = normed(net, style, net.op("Add", y, x), "output.norm")
    with net.scope("pooler"):
        first = net.op("Gather", x, net.constant(np.array(0)), axis=1)
        first = net.op("Tanh", blocks.gemm(net, first, HIDDEN))
    with net.scope("classifier"):
        weights = blocks.classifier(net.values[first], labels)
        net.output(blocks.gemm(net, first, weights[1].size, weights, out="logits"), ["batch_size", weights[1].size])
    net.output(x, ["batch_size", "sequence", HIDDEN])

    def feeds(count, length, seed):
        ids, mask, labels = data.sentences(count, length, VOCABULARY, seed=seed)
        return {"input_ids": ids, "attention_mask": mask}, labels
    evaluation, labels = feeds(128, LENGTH, 2)
    # Codes for the mask's -3.4e38 leave none for anything else: to quantize every operator ruins the network.
    return Network(net, feeds(64, LENGTH, 1)[0], evaluation, labels, feeds(3, 50, 4)[0],
                   rival_ops=["Gather", "Gemm", "MatMul"])


def encoder():
    return build("encoder", TorchScriptNames(), TorchScriptStyle, 41)


def encoder_dynamo():
    return build("encoder_dynamo", DynamoNames(), DynamoStyle, 42)
