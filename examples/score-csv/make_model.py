"""Trains the iris classifier and writes iris.onnx, data/in.csv and expected.csv.

    python3 make_model.py

The model is a softmax regression over scikit-learn's bundled copy of Fisher's
iris data: 120 flowers train it, 30 are held out. The held-out ones become
data/in.csv, and what Python's onnxruntime says about them expected.csv.
"""

import csv
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
HELD_OUT_PER_SPECIES = 10


def main() -> None:
    iris = load_iris()
    random = np.random.RandomState(20261122)  # its stream never changes between versions of numpy
    held_out = np.concatenate(
        [random.permutation(np.flatnonzero(iris.target == species))[:HELD_OUT_PER_SPECIES] for species in range(3)]
    )
    held_out = random.permutation(held_out)
    training = np.setdiff1d(np.arange(len(iris.target)), held_out)

    weights, bias = train(iris.data[training], iris.target[training])
    save(weights, bias, HERE / "iris.onnx")
    session = onnxruntime.InferenceSession(HERE / "iris.onnx", providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"features": iris.data[held_out].astype(np.float32)})
    right = (probabilities.argmax(axis=1) == iris.target[held_out]).sum()
    print(f"iris.onnx: {(HERE / 'iris.onnx').stat().st_size} bytes, {right} of {len(held_out)} held-out flowers right")

    flowers = [[f"flower-{number + 1}", *iris.data[index]] for number, index in enumerate(held_out)]
    answers = [[iris.target_names[row.argmax()], f"{row.max():.3f}"] for row in probabilities]
    (HERE / "data").mkdir(exist_ok=True)
    write(HERE / "data" / "in.csv", ["id", *COLUMNS], flowers)
    scored = [flower + answer for flower, answer in zip(flowers, answers)]
    write(HERE / "expected.csv", ["id", *COLUMNS, "species", "probability"], scored)


def train(features: np.ndarray, species: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights [4, 3] and bias [3] for features in centimetres."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    fitted = LogisticRegression(C=10, max_iter=1000).fit((features - mean) / deviation, species)
    weights = fitted.coef_.T / deviation[:, None]
    return weights.astype(np.float32), (fitted.intercept_ - mean @ weights).astype(np.float32)


def save(weights: np.ndarray, bias: np.ndarray, out: Path) -> None:
    """Writes the model as ONNX: `features` [N, 4] to `probabilities` [N, 3]."""
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"], "dense"),
            helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
        ],
        "iris",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, producer_name="samara", ir_version=8, opset_imports=opsets)
    onnx.checker.check_model(model, full_check=True)
    out.write_bytes(model.SerializeToString(deterministic=True))


def write(path: Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
