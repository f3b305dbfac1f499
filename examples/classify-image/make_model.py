"""Writes an image classifier with the shape of MobileNetV2 1.0 and random weights.

    python3 make_model.py OUT.onnx

The network is as large, as deep and as fast as the real one: 224 x 224 pixels,
1000 classes, 3.5 million weights, batch normalisation folded into the
convolutions. Its weights come from a fixed seed instead of training, so its
classes mean nothing, but different pictures get different ones.

As in training, every convolution is followed by a normalisation, whose means
and deviations are those of a few generated landscapes: activations keep their
scale through all 53 layers.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import pixels
import scene

SEED = 2
PICTURES = 8
GRAIN = 1.0
CLASSES = 1000
STEM = 32
LAST = 1280
# Expansion, channels, blocks, stride of the first block.
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python3 make_model.py OUT.onnx")
    out = Path(sys.argv[1])
    network = Network(pictures())
    network.convolution("stem", STEM, kernel=3, stride=2)
    for stage, (expansion, channels, blocks, stride) in enumerate(STAGES):
        for block in range(blocks):
            network.block(f"stage{stage}.block{block}", expansion, channels, stride if block == 0 else 1)
    network.convolution("last", LAST)
    network.classifier()
    model = network.model()
    onnx.checker.check_model(model, full_check=True)
    out.write_bytes(model.SerializeToString(deterministic=True))
    print(f"wrote {out}: {network.weights} weights, {out.stat().st_size} bytes")


def pictures() -> np.ndarray:
    """Returns the landscapes as pixels, with the grain of a photograph.

    Smooth pictures alone would make the normalisation blow up the least grain.
    """
    smooth = np.concatenate([pixels.preprocess(scene.scene(seed)) for seed in range(PICTURES)])
    return smooth + np.random.default_rng(SEED).normal(0, GRAIN, smooth.shape).astype(np.float32)


class Network:
    """A graph under construction, and what its last tensor holds for the generated pictures."""

    def __init__(self, values: np.ndarray) -> None:
        self.random = np.random.default_rng(SEED)
        self.nodes, self.stored, self.weights = [], [], 0
        self.name, self.values = "pixels", values
        self.store("zero", np.float32(0))
        self.store("six", np.float32(6))

    def block(self, name: str, expansion: int, channels: int, stride: int) -> None:
        """Adds an inverted residual: widen, filter each channel, narrow without an activation."""
        entry, entry_values = self.name, self.values
        inner = entry_values.shape[1] * expansion
        if expansion > 1:
            self.convolution(f"{name}.expand", inner)
        self.convolution(f"{name}.depthwise", inner, kernel=3, stride=stride, depthwise=True)
        self.convolution(f"{name}.project", channels, relu6=False)
        if stride == 1 and entry_values.shape[1] == channels:
            self.node("Add", [entry, self.name], f"{name}.sum", entry_values + self.values)

    def convolution(
        self,
        name: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        relu6: bool = True,
    ) -> None:
        """Adds a convolution with its normalisation folded in, and the activation min(max(x, 0), 6)."""
        inputs = 1 if depthwise else self.values.shape[1]
        weight = self.random.normal(0, 1, (channels, inputs, kernel, kernel)).astype(np.float32)
        raw = convolve(self.values, weight, stride)
        mean, deviation = raw.mean(axis=(0, 2, 3)), raw.std(axis=(0, 2, 3)) + np.float32(1e-3)
        gain = self.random.uniform(0.7, 1.3, channels).astype(np.float32) / deviation
        shift = self.random.normal(0, 0.3, channels).astype(np.float32) - mean * gain
        inputs = [self.name, f"{name}.weight", f"{name}.bias"]
        self.store(inputs[1], weight * gain[:, None, None, None])
        self.store(inputs[2], shift)
        values = raw * gain[:, None, None] + shift[:, None, None]
        attributes = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        self.node("Conv", inputs, name, values, group=channels if depthwise else 1, **attributes)
        if relu6:
            self.node("Clip", [name, "zero", "six"], f"{name}.relu6", values.clip(0, 6))

    def classifier(self) -> None:
        """Adds the mean over the picture and the dense layer.

        The bias takes away what all pictures have in common, and the weights
        are scaled so that the logits of a class clearly differ between pictures.
        """
        features = self.values.mean(axis=(2, 3))
        self.node("GlobalAveragePool", [self.name], "pool", features[:, :, None, None])
        self.node("Flatten", ["pool"], "features", features, axis=1)
        weight = self.random.normal(0, 1, (LAST, CLASSES)).astype(np.float32)
        weight *= np.float32(1.25) / (features @ weight).std(axis=0).mean()
        bias = -(features.mean(axis=0) @ weight)
        self.store("classifier.weight", weight)
        self.store("classifier.bias", bias)
        inputs = ["features", "classifier.weight", "classifier.bias"]
        self.node("Gemm", inputs, "logits", features @ weight + bias)

    def node(self, operator: str, inputs: list[str], output: str, values: np.ndarray, **attributes) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        self.name, self.values = output, values

    def store(self, name: str, value: np.ndarray) -> None:
        self.weights += value.size if value.ndim else 0
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), name))

    def model(self) -> onnx.ModelProto:
        entry = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, pixels.SIDE, pixels.SIDE])
        answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
        graph = helper.make_graph(self.nodes, "classifier", [entry], [answer], self.stored)
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, producer_name="samara", ir_version=8, opset_imports=opsets)


def convolve(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """Returns a convolution; a weight with one input channel applies to each channel by itself."""
    n, channels, height, width = x.shape
    out_channels, in_channels, kernel, _ = weight.shape
    if kernel == 1:
        return (weight[:, :, 0, 0] @ x.reshape(n, channels, -1)).reshape(n, out_channels, height, width)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out_height, out_width = (height - 1) // stride + 1, (width - 1) // stride + 1
    out = np.zeros((n, out_channels, out_height, out_width), np.float32)
    for i in range(3):
        for j in range(3):
            part = padded[:, :, i : i + height : stride, j : j + width : stride]
            if in_channels == 1:
                out += part * weight[:, 0, i, j, None, None]
            else:
                flat = np.ascontiguousarray(part).reshape(n, channels, -1)
                out += (weight[:, :, i, j] @ flat).reshape(out.shape)
    return out


if __name__ == "__main__":
    main()
