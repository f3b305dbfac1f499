"""Writes a network with the shape of ResNet-50 and seeded random weights.

    python resnet.py OUT.onnx

224 x 224 pixels, 1000 classes, 25.5 million weights, normalisation folded into
the convolutions: as large and as fast as the real one, but its classes mean nothing.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 50
CLASSES = 1000
# Width inside the blocks, blocks, stride of the first one.
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]
EXPANSION = 4


class Network:
    def __init__(self) -> None:
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(SEED)

    def tensor(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def convolution(self, name: str, source: str, channels: tuple[int, int], kernel: int, stride: int, gain=1.0) -> str:
        """`gain` scales what a block adds, so that 16 blocks one after the other keep the scale."""
        into, out = channels
        scale = gain * np.sqrt(2 / (into * kernel * kernel))
        weight = self.tensor(f"{name}.weight", self.random.normal(0, scale, (out, into, kernel, kernel)))
        bias = self.tensor(f"{name}.bias", self.random.normal(0, 0.01, out))
        sides = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self.node("Conv", [source, weight, bias], name, **sides)

    def relu(self, source: str) -> str:
        return self.node("Relu", [source], f"{source}.relu")

    def block(self, name: str, source: str, into: int, width: int, stride: int) -> str:
        out = width * EXPANSION
        narrow = self.relu(self.convolution(f"{name}.narrow", source, (into, width), 1, 1))
        middle = self.relu(self.convolution(f"{name}.middle", narrow, (width, width), 3, stride))
        wide = self.convolution(f"{name}.wide", middle, (width, out), 1, 1, gain=0.25)
        if into != out or stride != 1:
            source = self.convolution(f"{name}.shortcut", source, (into, out), 1, stride)
        return self.relu(self.node("Add", [wide, source], f"{name}.sum"))


def make(out: Path) -> None:
    network = Network()
    value = network.relu(network.convolution("stem", "pixels", (3, 64), 7, 2))
    value = network.node("MaxPool", [value], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (width, blocks, stride) in enumerate(STAGES):
        for block in range(blocks):
            value = network.block(f"stage{stage}.{block}", value, channels, width, stride if block == 0 else 1)
            channels = width * EXPANSION
    value = network.node("GlobalAveragePool", [value], "average")
    value = network.node("Flatten", [value], "features")
    weight = network.tensor("classes.weight", network.random.normal(0, np.sqrt(1 / channels), (channels, CLASSES)))
    network.node("Gemm", [value, weight, network.tensor("classes.bias", np.zeros(CLASSES))], "logits")
    network.node("Softmax", ["logits"], "probabilities", axis=1)
    shapes = [("pixels", ["N", 3, 224, 224]), ("probabilities", ["N", CLASSES])]
    source, target = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes)
    graph = helper.make_graph(network.nodes, "resnet", [source], [target], network.weights)
    model = helper.make_model(
        graph, producer_name="samara", ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.checker.check_model(model, full_check=True)
    out.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
