"""A multi-layer perceptron as skl2onnx writes a pipeline of StandardScaler and MLPClassifier: label and probabilities."""

import numpy as np
from onnx import TensorProto

from . import blocks, data
from .net import Net, Network, TensorFlowNames


class ScikitNames(TensorFlowNames):
    def node(self, op, scope, count):
        return f"Ml_{op}" + (str(count) if count else "")

    def value(self, op, scope, count):
        return {"MatMul": "mul_result", "Add": "add_result", "Relu": "next_activations"}.get(op, op.lower()) + \
            (str(count) if count else "")


def mlp():
    net, width, classes = Net("mlp", 15, ScikitNames(), 51), 40, 6
    rows, labels = data.spectra(512, width, classes, seed=3)
    x = net.input("X", rows, [None, width])
    mean, variance = blocks.statistics(rows)
    x = net.op("Sub", x, net.weight(mean, name="mean"))
    x = net.op("Div", x, net.weight(np.sqrt(variance), name="scale"))
    x = net.op("Cast", x, to=TensorProto.FLOAT)
    for n, units in enumerate((64, 32)):
        weight, bias = blocks.dense_weights(net, x, units)
        x = net.op("MatMul", x, net.weight(weight, name=f"coefficient{n}"))
        x = net.op("Relu", net.op("Add", x, net.weight(bias.reshape(1, -1), name=f"intercepts{n}")))
    weight, bias = blocks.fit(net.values[x], blocks.one_hot(labels))
    x = net.op("MatMul", x, net.weight(weight, name="coefficient2"))
    x = net.op("Add", x, net.weight(bias.reshape(1, -1), name="intercepts2"))
    probabilities = net.op("Softmax", x, axis=1, out="probabilities")
    best = net.op("ArgMax", probabilities, axis=1, keepdims=0)
    classes_table = net.weight(np.arange(10, 10 + classes), name="classes")
    net.output(net.op("Gather", classes_table, best, axis=0, out="label"), [None])
    net.output(probabilities, [None, classes])
    return Network(net, {"X": data.spectra(64, width, classes, seed=1)[0]},
                   {"X": data.spectra(256, width, classes, seed=2)[0]})
