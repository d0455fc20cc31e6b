#!/usr/bin/env python3
"""Makes a model with int8 weights compute in int8: quantize.py FROM.onnx TO.onnx

The source widens its weights to 32 bits and computes with those. Here every product with a weight matrix is one of integers: the activations are scaled to 7 bits, each row (token) by its own
largest value, and the result is scaled back. A vector stays within 0.99 of the source's, by cosine, and texts that are embedded together do not change each other.

Seven bits, not eight: where a processor has no VNNI, two products of 8 bits are added in 16 and can overflow; of 7 bits they cannot, so every machine computes the same integers.
The output of GELU is never below -0.17, so it is moved up by that and uses all 7 bits; the following bias takes it back.
Embeddings are looked up as int8 and widened row by row, not the whole table at once.

The same source gives the same bytes, with any version of the packages.
"""

import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.onnx_ml_pb2 import TensorProto

GELU_MINIMUM = 0.17
LEVELS = 127
HALF = LEVELS // 2


class Rewriter:
    """Replaces products and lookups of quantized weights, node by node."""

    def __init__(self, graph):
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.users = {}
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.nodes = []
        self.rows = set()

    def constant(self, name, value):
        tensor = numpy_helper.from_array(value, name)
        self.constants[name] = tensor
        self.graph.initializer.append(tensor)

    def add(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def is_quantized(self, name):
        return name + "_q" in self.constants and name + "_scale" in self.constants

    def rewrite(self):
        self.constant("half_step", np.array(1 / HALF, np.float32))
        self.constant("full_step", np.array(1 / LEVELS, np.float32))
        self.constant("one", np.array(1, np.float32))
        self.constant("middle", np.array(HALF + 1, np.uint8))
        self.constant("bottom", np.array(0, np.uint8))
        # The rows of padding may be all zero.
        self.constant("smallest_step", np.array(1e-10, np.float32))
        self.constant("gelu_shift", np.array(GELU_MINIMUM, np.float32))
        for node in self.graph.node:
            if node.op_type == "MatMul" and self.is_quantized(node.input[1]):
                self.product(node)
            elif node.op_type == "Gather" and self.is_quantized(node.input[0]):
                self.lookup(node)
            else:
                self.nodes.append(node)
        self.keep_what_is_used()

    def product(self, node):
        source, weight, output = node.input[0], node.input[1], node.output[0]
        after_gelu = source.startswith("gelu")
        zero = "bottom" if after_gelu else "middle"
        if source not in self.rows:
            self.rows.add(source)
            self.quantize_rows(source, after_gelu, zero)
        product = self.add("MatMulInteger", [source + "_int", weight + "_q", zero], output + "_int")
        product = self.add("Cast", [product], output + "_float", to=TensorProto.FLOAT)
        product = self.add("Mul", [product, source + "_step"], output + "_rows")
        self.add("Mul", [product, weight + "_scale"], output)
        if after_gelu:
            self.take_back_shift(weight, output)

    def quantize_rows(self, source, after_gelu, zero):
        if after_gelu:
            value = size = self.add("Add", [source, "gelu_shift"], source + "_up")
        else:
            value, size = source, self.add("Abs", [source], source + "_abs")
        largest = self.add("ReduceMax", [size], source + "_max", axes=[-1], keepdims=1)
        step = self.add("Mul", [largest, "full_step" if after_gelu else "half_step"], source + "_any_step")
        step = self.add("Max", [step, "smallest_step"], source + "_step")
        value = self.add("Div", [value, step], source + "_in_steps")
        self.add("QuantizeLinear", [value, "one", zero], source + "_int")

    def take_back_shift(self, weight, output):
        (addition,) = self.users[output]
        (bias,) = [name for name in addition.input if name != output]
        columns = numpy_helper.to_array(self.constants[weight + "_q"]).sum(0, dtype=np.int64)
        scale = numpy_helper.to_array(self.constants[weight + "_scale"])[0].astype(np.float64)
        shifted = numpy_helper.to_array(self.constants[bias]).astype(np.float64)
        shifted -= np.float64(np.float32(GELU_MINIMUM)) * scale * columns
        self.constants[bias].CopyFrom(numpy_helper.from_array(shifted.astype(np.float32), bias))

    def lookup(self, node):
        table, rows, output = node.input[0], node.input[1], node.output[0]
        assert not node.attribute or node.attribute[0].i == 0, "rows are looked up, not columns"
        assert self.constants[table + "_scale"].dims[1] == 1, "each row has one scale"
        scale = self.add("Gather", [table + "_scale", rows], output + "_scale", axis=0)
        found = self.add("Gather", [table + "_q", rows], output + "_int", axis=0)
        found = self.add("Cast", [found], output + "_float", to=TensorProto.FLOAT)
        self.add("Mul", [found, scale], output)

    def keep_what_is_used(self):
        used = {output.name for output in self.graph.output}
        kept = []
        for node in reversed(self.nodes):
            if used.intersection(node.output):
                kept.append(node)
                used.update(node.input)
        constants = [tensor for tensor in self.graph.initializer if tensor.name in used]
        self.graph.ClearField("node")
        self.graph.node.extend(reversed(kept))
        self.graph.ClearField("initializer")
        self.graph.initializer.extend(constants)


def main():
    source, target = sys.argv[1:]
    model = onnx.load(source)
    Rewriter(model.graph).rewrite()
    onnx.checker.check_model(model)
    with open(target, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
