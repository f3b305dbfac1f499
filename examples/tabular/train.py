"""Trains a pipeline of scikit-learn on wines, and writes model.onnx and tests/.

    python3 train.py

The wines are those that scikit-learn brings along: 178 of three kinds, of which two
thirds train the pipeline and the others are held out. Four measurements stay numbers,
two become words. A tenth of the numbers that it learns from are left out, as tables
have gaps.

Each test case in tests/ is a request of held-out wines, and what Python's onnxruntime
answers to it.
"""

import json
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

from pathlib import Path

import numpy as np
import onnxruntime
import pandas
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).parent
NUMBERS = ["alcohol", "malic_acid", "hue", "proline"]
# By column: the measurement that its words are made of, the borders between them, and they.
WORDS = {
    "colour": ("color_intensity", [3.8, 5.6], ["pale", "medium", "deep"]),
    "phenols": ("total_phenols", [2.0, 2.6], ["low", "medium", "high"]),
}
# The classes, which the set numbers, by the names in the paper that it is from.
KINDS = np.array(["Barolo", "Grignolino", "Barbera"], dtype=object)
SEED = 20261126


def main() -> None:
    table, kinds = load()
    training, held_out, learned, asked = train_test_split(
        table, kinds, test_size=1 / 3, stratify=kinds, random_state=SEED
    )
    model = train(with_gaps(training), learned)
    save(model, HERE / "model.onnx")
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    right = (np.array(answer(session, held_out)[0]) == asked).sum()
    size = (HERE / "model.onnx").stat().st_size
    print(f"model.onnx: {size} bytes, {right} of {len(asked)} held-out wines right")

    one_of_each = held_out.iloc[[int(np.flatnonzero(asked == kind)[0]) for kind in KINDS]]
    gaps = one_of_each.copy()
    gaps.iloc[0, gaps.columns.get_loc("proline")] = np.nan
    gaps.iloc[1, gaps.columns.get_loc("colour")] = "rosé"  # a word that it has never seen
    gaps.iloc[2, gaps.columns.get_loc("phenols")] = ""
    (HERE / "tests").mkdir(exist_ok=True)
    for name, rows in [("one", one_of_each[:1]), ("three", one_of_each), ("gaps", gaps)]:
        write_case(name, rows, *answer(session, rows))


def load() -> tuple[pandas.DataFrame, np.ndarray]:
    """Returns the table and the kind of each row."""
    wine = load_wine(as_frame=True)
    table = wine.data[NUMBERS].copy()
    for column, (measurement, borders, words) in WORDS.items():
        table[column] = np.array(words, dtype=object)[np.digitize(wine.data[measurement], borders)]
    return table, KINDS[wine.target]


def with_gaps(table: pandas.DataFrame) -> pandas.DataFrame:
    table = table.copy()
    # This stream never changes between versions of numpy.
    holes = np.random.RandomState(SEED).random_sample((len(table), len(NUMBERS))) < 0.1
    table[NUMBERS] = table[NUMBERS].mask(holes)
    return table


def train(table: pandas.DataFrame, kinds: np.ndarray):
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("words", OneHotEncoder(handle_unknown="ignore"), list(WORDS)),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, kinds)


def save(model, out: Path) -> None:
    """Writes the pipeline as ONNX: an input [N, 1] for each column."""
    inputs = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    inputs += [(name, StringTensorType([None, 1])) for name in WORDS]
    opsets = {"": 17, "ai.onnx.ml": 3}
    made = convert_sklearn(model, "wine", inputs, target_opset=opsets)
    out.write_bytes(made.SerializeToString(deterministic=True))


def answer(session, rows: pandas.DataFrame) -> tuple[list[str], list[list[float]]]:
    """Returns the kinds, and their probabilities in the order of the classes."""
    inputs = {name: rows[[name]].to_numpy(np.float32) for name in NUMBERS}
    inputs |= {name: rows[[name]].to_numpy(object) for name in WORDS}
    kinds, probabilities = session.run(["output_label", "output_probability"], inputs)
    return list(kinds), [list(row.values()) for row in probabilities]


def write_case(name: str, rows: pandas.DataFrame, kinds: list[str], probabilities: list[list[float]]) -> None:
    def value(cell):
        if isinstance(cell, str):
            return cell
        return "NaN" if np.isnan(cell) else cell

    count = len(rows)
    inputs = [
        tensor(column, "FP32" if column in NUMBERS else "BYTES", [count, 1], [value(cell) for cell in rows[column]])
        for column in rows
    ]
    outputs = [
        tensor("output_label", "BYTES", [count], kinds),
        tensor("output_probability", "FP32", [count, len(KINDS)], sum(probabilities, [])),
    ]
    write(HERE / "tests" / f"{name}.json", "inputs", inputs)
    write(HERE / "tests" / f"{name}.expected.json", "outputs", outputs)


def tensor(name: str, datatype: str, shape: list[int], data: list) -> dict:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def write(path: Path, kind: str, tensors: list[dict]) -> None:
    """Writes a tensor to a line."""
    lines = ",\n".join(f"  {json.dumps(tensor, ensure_ascii=False)}" for tensor in tensors)
    path.write_text(f'{{"{kind}": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
