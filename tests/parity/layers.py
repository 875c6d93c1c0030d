"""Layer by layer: cuts a QDQ model at its quantized values, feeds ONNX Runtime the codes that octet had there, and
compares what each piece makes of them with octet's codes."""

import json
import pathlib

import numpy as np
import onnx
from onnx import helper

import common

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


class Piece:
    """The nodes between quantized values (or float inputs) and one QuantizeLinear."""

    def __init__(self, quantize):
        self.quantize, self.nodes, self.code_inputs, self.float_inputs, self.initializers = quantize, [], [], [], []

    @property
    def operators(self):
        return [n.op_type for n in self.nodes if n.op_type not in (QUANTIZE, DEQUANTIZE)]

    @property
    def label(self):
        return f"{'+'.join(self.operators) or 'quantize'} -> {self.quantize.input[0]}"


class Cutter:
    def __init__(self, model):
        self.graph = model.graph
        self.opsets, self.ir_version = model.opset_import, model.ir_version
        self.initializers = {t.name: t for t in self.graph.initializer}
        self.producers = {out: node for node in self.graph.node for out in node.output}
        self.graph_inputs = {i.name: i for i in self.graph.input if i.name not in self.initializers}

    def is_activation_quantize(self, node):
        return node.op_type == QUANTIZE and node.input[0] not in self.initializers

    def piece(self, quantize):
        piece, seen = Piece(quantize), set()

        def visit(name):
            if not name or name in seen:
                return
            seen.add(name)
            if name in self.initializers:
                piece.initializers.append(self.initializers[name])
                return
            if name in self.graph_inputs:
                piece.float_inputs.append(name)
                return
            node = self.producers[name]
            if node is not quantize and self.is_activation_quantize(node):
                piece.code_inputs.append(name)
                return
            for other in node.output:
                seen.add(other)
            for source in node.input:
                visit(source)
            piece.nodes.append(node)

        visit(quantize.output[0])
        return piece

    def pieces(self):
        return [self.piece(n) for n in self.graph.node if self.is_activation_quantize(n)]

    def code_type(self, quantize):
        return self.initializers[quantize.input[2]].data_type

    def model(self, piece):
        order = {id(n): i for i, n in enumerate(self.graph.node)}
        nodes = sorted(piece.nodes, key=lambda n: order[id(n)])
        inputs = [helper.make_tensor_value_info(n, self.code_type(self.producers[n]), None)
                  for n in piece.code_inputs]
        inputs += [self.graph_inputs[n] for n in piece.float_inputs]
        output = helper.make_tensor_value_info(piece.quantize.output[0], self.code_type(piece.quantize), None)
        graph = helper.make_graph(nodes, "piece", inputs, [output], piece.initializers)
        model = helper.make_model(graph, opset_imports=self.opsets, ir_version=self.ir_version)
        return model.SerializeToString()


class Taps:
    """Codes that octet's integer engine had, by the name of the value in the file."""

    def __init__(self, folder, cutter):
        self.folder, self.cutter = pathlib.Path(folder), cutter
        entries = json.loads((self.folder / "index.json").read_text())
        self.files = {e["name"]: e["file"] for e in entries if e["dtype"] == "i8"}

    def codes(self, quantize):
        """As the file stores them, or None where octet has no such value (it was fused away)."""
        names = [quantize.input[0], quantize.output[0]]
        names += [n.output[0] for n in self.cutter.graph.node
                  if n.op_type == DEQUANTIZE and n.input[0] == quantize.output[0]]
        name = next((n for n in names if n in self.files), None)
        if name is None:
            return None
        codes = np.load(self.folder / self.files[name])
        if self.cutter.code_type(quantize) == onnx.TensorProto.UINT8:
            return (codes.astype(np.int16) + 128).astype(np.uint8)
        return codes


class Difference:
    def __init__(self, piece, delta):
        self.label, self.operators = piece.label, piece.operators
        self.values, self.different, self.largest = delta.size, int((delta > 0).sum()), int(delta.max(initial=0))


def compare_layers(model_path, x, taps_folder, optimized):
    """([Difference per piece], [names of pieces that octet has no codes for])"""
    model = onnx.load(str(model_path))
    cutter = Cutter(model)
    taps = Taps(taps_folder, cutter)
    differences, missing = [], []
    for piece in cutter.pieces():
        wanted = taps.codes(piece.quantize)
        feeds = {n: taps.codes(cutter.producers[n]) for n in piece.code_inputs}
        feeds.update({n: x[n] if isinstance(x, dict) else x for n in piece.float_inputs})
        if wanted is None or any(v is None for v in feeds.values()):
            missing.append(piece.label)
            continue
        got = common.ort_session(cutter.model(piece), optimized).run(None, feeds)[0]
        delta = np.abs(got.astype(np.int32) - wanted.reshape(got.shape).astype(np.int32))
        differences.append(Difference(piece, delta))
    return differences, missing
