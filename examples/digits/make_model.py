"""Trains the digit classifier and writes digits.onnx.

    python3 make_model.py [OUT.onnx]

Everything is seeded and BLAS runs on one thread, so the same machine writes
the same bytes again. It takes about a minute and prints how well the model
does on the 360 held-out digits, sent in the ways that users send them.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageFilter

import dataset
import pixels

SEED = 5
VARIANTS = 16
EPOCHS = 10
BATCH = 128
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digits.onnx")
    started = time.monotonic()
    training, held_out = dataset.split()
    pictures, labels = dataset.load()
    random = np.random.default_rng(SEED)
    samples, classes = training_samples([pictures[i] for i in training], labels[training], random)
    print(f"{len(samples)} training samples in {time.monotonic() - started:.0f} s")

    parameters = train(samples, classes, random)
    save(parameters, out)
    count = sum(parameter.size for parameter in parameters.values())
    print(f"wrote {out}: {count} parameters, {out.stat().st_size} bytes")
    report(out, [pictures[i] for i in held_out], labels[held_out])
    print(f"{time.monotonic() - started:.0f} s in all")


# --- training samples -------------------------------------------------------


def training_samples(
    pictures: list[Image.Image], labels: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns pixels [n, 8, 8, 1] and labels: every digit as it is, and `VARIANTS` changed ones.

    Each variant goes through the very decoding that a user's picture goes through.
    """
    samples = [pixels.decode(picture)[0] for picture in pictures]
    for _ in range(VARIANTS):
        samples += [pixels.decode(changed(picture, random))[0] for picture in pictures]
    stacked = np.stack(samples).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(stacked), np.tile(labels, VARIANTS + 1)


def changed(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    """Returns the digit at another size, in half of the cases also written differently."""
    resampling = list(FILTERS.values())[random.integers(len(FILTERS))]
    side = int(np.exp(random.uniform(np.log(8), np.log(300))))
    if random.random() < 0.5:
        digit = rewritten(digit, random)
    margins = (0, 0, 0, 0)
    if random.random() < 0.4:
        margins = tuple(int(side * share) for share in random.uniform(0, 0.5, 4))
    picture = dataset.variant(digit, side=side, resampling=resampling, margins=margins)
    if random.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(side / 8 * random.uniform(0.1, 0.5)))
    return picture


def rewritten(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    """Returns the digit turned, slanted, shifted, stretched, and with thicker or thinner strokes."""
    side = 48
    large = digit.resize((side, side), Image.Resampling.BICUBIC)
    angle, slant = np.deg2rad(random.normal(0, 5)), random.normal(0, 0.1)
    x_scale, y_scale = 1 / random.uniform(0.8, 1.15), 1 / random.uniform(0.88, 1.02)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[x_scale, slant], [0, y_scale]])
    centre = np.full(2, side / 2)
    offset = centre - matrix @ (centre + random.normal(0, side / 40, 2))
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    large = large.transform((side, side), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        middle, softness = random.uniform(60, 225), random.uniform(20, 90)
        large = large.point([int(np.clip(128 + (v - middle) * 128 / softness, 0, 255)) for v in range(256)])
    return large


# --- the network, in numpy: channels last ------------------------------------


def initial(random: np.random.Generator) -> dict[str, np.ndarray]:
    def weights(*shape: int) -> np.ndarray:
        fan_in = np.prod(shape[:-1])
        return random.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)

    return {
        "conv1.weight": weights(3, 3, 1, 16),
        "conv1.bias": np.zeros(16, np.float32),
        "conv2.weight": weights(3, 3, 16, 32),
        "conv2.bias": np.zeros(32, np.float32),
        "dense.weight": weights(4, 4, 32, 10),
        "dense.bias": np.zeros(10, np.float32),
    }


def neighbourhoods(x: np.ndarray) -> np.ndarray:
    """Returns the 3x3 surroundings of every pixel as rows: [n * height * width, 9 * channels]."""
    n, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.stack(parts, axis=3).reshape(n * height * width, 9 * channels)


def gradients(
    parameters: dict[str, np.ndarray], x: np.ndarray, labels: np.ndarray, keep: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """Returns the cross-entropy of a batch and its derivative in every parameter.

    `keep` scales each feature in front of the dense layer (dropout).
    """
    n = len(x)
    w1, w2, w3 = (parameters[f"{layer}.weight"] for layer in ("conv1", "conv2", "dense"))

    columns1 = neighbourhoods(x)
    hidden1 = np.maximum(columns1 @ w1.reshape(9, 16) + parameters["conv1.bias"], 0).reshape(n, 8, 8, 16)
    columns2 = neighbourhoods(hidden1)
    hidden2 = np.maximum(columns2 @ w2.reshape(144, 32) + parameters["conv2.bias"], 0).reshape(n, 4, 2, 4, 2, 32)
    pooled = hidden2.max(axis=(2, 4))
    features = pooled.reshape(n, 512) * keep
    logits = features @ w3.reshape(512, 10) + parameters["dense.bias"]
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    loss = -np.log(probabilities[np.arange(n), labels] + 1e-12).mean()

    d_logits = probabilities
    d_logits[np.arange(n), labels] -= 1
    d_logits /= n
    d_pooled = (d_logits @ w3.reshape(512, 10).T * keep).reshape(n, 4, 1, 4, 1, 32)
    strongest = (hidden2 == pooled[:, :, None, :, None]) & (hidden2 > 0)
    d_hidden2 = (d_pooled * strongest).reshape(n, 8, 8, 32)
    turned = w2[::-1, ::-1].transpose(0, 1, 3, 2).reshape(288, 16)
    d_hidden1 = (neighbourhoods(d_hidden2) @ turned) * (hidden1.reshape(-1, 16) > 0)
    d_hidden2 = d_hidden2.reshape(-1, 32)
    return float(loss), {
        "conv1.weight": (columns1.T @ d_hidden1).reshape(w1.shape),
        "conv1.bias": d_hidden1.sum(0),
        "conv2.weight": (columns2.T @ d_hidden2).reshape(w2.shape),
        "conv2.bias": d_hidden2.sum(0),
        "dense.weight": (features.T @ d_logits).reshape(w3.shape),
        "dense.bias": d_logits.sum(0),
    }


def train(samples: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Runs Adam with a learning rate that falls along a cosine."""
    parameters = initial(random)
    means = {name: np.zeros_like(value) for name, value in parameters.items()}
    squares = {name: np.zeros_like(value) for name, value in parameters.items()}
    steps, step = EPOCHS * (len(samples) // BATCH), 0
    for epoch in range(EPOCHS):
        order, losses = random.permutation(len(samples)), []
        for start in range(0, len(samples) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            keep = (random.random((BATCH, 512), dtype=np.float32) > 0.25).astype(np.float32) / np.float32(0.75)
            loss, slopes = gradients(parameters, samples[batch], labels[batch], keep)
            losses.append(loss)
            step += 1
            rate = np.float32(3e-3 * 0.5 * (1 + np.cos(np.pi * step / steps)))
            for name, slope in slopes.items():
                means[name] += np.float32(0.1) * (slope - means[name])
                squares[name] += np.float32(0.001) * (slope * slope - squares[name])
                mean = means[name] / np.float32(1 - 0.9**step)
                square = squares[name] / np.float32(1 - 0.999**step)
                decay = np.float32(1e-2) * parameters[name] if name.endswith("weight") else 0
                parameters[name] -= rate * (mean / (np.sqrt(square) + np.float32(1e-7)) + decay)
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return parameters


# --- the file ------------------------------------------------------------------


def save(parameters: dict[str, np.ndarray], out: Path) -> None:
    """Writes the network as ONNX: `pixels` [N, 1, 8, 8] to `probabilities` [N, 10]."""
    stored = {
        name: value.transpose(3, 2, 0, 1) if name.startswith("conv") and value.ndim == 4 else value
        for name, value in parameters.items()
    }
    stored["dense.weight"] = parameters["dense.weight"].transpose(2, 0, 1, 3).reshape(512, 10)
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["pixels", "conv1.weight", "conv1.bias"], ["conv1"], "conv1", pads=pads),
        helper.make_node("Relu", ["conv1"], ["relu1"], "relu1"),
        helper.make_node("Conv", ["relu1", "conv2.weight", "conv2.bias"], ["conv2"], "conv2", pads=pads),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("MaxPool", ["relu2"], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["features"], "flatten", axis=1),
        helper.make_node("Gemm", ["features", "dense.weight", "dense.bias"], ["logits"], "dense"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in stored.items()],
    )
    model = helper.make_model(
        graph, producer_name="samara", ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    onnx.checker.check_model(model, full_check=True)
    out.write_bytes(model.SerializeToString(deterministic=True))


# --- how good it is ----------------------------------------------------------------


def report(model: Path, pictures: list[Image.Image], labels: np.ndarray) -> None:
    """Prints the accuracy on held-out digits, one line per way of sending them."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def row(name: str, change) -> None:
        decoded = np.concatenate([pixels.decode(change(picture)) for picture in pictures])
        (probabilities,) = session.run(None, {"pixels": decoded})
        print(f"  {name:<44} {100 * (probabilities.argmax(1) == labels).mean():6.2f} %")

    print(f"accuracy on {len(pictures)} held-out digits")
    row("8 x 8, grey, light on dark", lambda digit: digit)
    row("8 x 8, grey, dark on light", lambda digit: dataset.variant(digit, side=8, dark_on_light=True))
    for name in ("nearest", "bilinear", "bicubic", "lanczos"):
        for side in (12, 16, 28, 100, 512):
            row(
                f"{side} x {side}, {name}",
                lambda digit: dataset.variant(digit, side=side, resampling=FILTERS[name]),
            )
    for mode in dataset.MODES:
        for dark_on_light in (False, True):
            row(
                f"150 x 100, {mode}, {'dark on light' if dark_on_light else 'light on dark'}",
                lambda digit: dataset.variant(
                    digit, side=64, margins=(50, 20, 36, 16), dark_on_light=dark_on_light, mode=mode
                ),
            )
    row("1000 x 1000, RGB", lambda digit: dataset.variant(digit, side=1000, mode="RGB"))


if __name__ == "__main__":
    main()
