"""Writes the models that `cargo xtask bench models` runs, and an input for each of their inputs.

    python make.py OUT_DIR

OUT_DIR gets the models, a file of raw numbers per input, and `cases.json`:

    [{"name": …, "file": …, "inputs": [{"name": …, "datatype": …, "shape": […], "file": …}, …]}, …]

They have the real ones' shapes and sizes and random weights, except the sentence encoder,
which is real, and the tabular ones, which scikit-learn trained on its own data. The two of
integers are quantised by onnxruntime: MobileNetV2 for static ranges, BERT for dynamic ones.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnxruntime import quantization

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "fixtures"
sys.path += [str(FIXTURES), str(HERE.parent / "serving")]

import resnet  # noqa: E402
import ten_models  # noqa: E402

SEED = 3
DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    texts(out)
    random = np.random.default_rng(SEED)
    ten_models.learned(out)
    ten_models.pictures(out)
    resnet.make(out / "resnet50.onnx")
    quantization.quantize_dynamic(out / "bert.onnx", out / "bert-int8.onnx")
    picture = {"pixels": random.random((1, 3, 224, 224), np.float32)}
    cases = [
        *(rows(out, random, name, count) for name in ("logistic-regression", "random-forest") for count in (1, 256)),
        case(out, "mobilenet", "mobilenet.onnx", picture),
        case(out, "mobilenet, int8", "mobilenet-int8-qdq.onnx", picture),
        case(out, "resnet-50", "resnet50.onnx", picture),
        case(out, "bert-base, 1 x 128", "bert.onnx", words(random, 1, 128)),
        case(out, "bert-base, int8, 1 x 128", "bert-int8.onnx", words(random, 1, 128)),
        case(out, "minilm, 1 x 16", "minilm.onnx", words(random, 1, 16)),
        case(out, "minilm, 8 x 32", "minilm.onnx", words(random, 8, 32)),
    ]
    (out / "cases.json").write_text(json.dumps(cases, indent=1))


def texts(out: Path) -> None:
    """The encoders, without answers: the large one's are not needed."""
    encoders = ten_models.imported("make_model", "embed-text")
    fixed = dict(hidden_act="gelu", position_embedding_type="absolute", max_position_embeddings=512)
    config = fixed | ten_models.BASE | dict(layer_norm_eps=1e-12)
    model = encoders.Encoder(config, ten_models.random_weights(config)).model()
    (out / "bert.onnx").write_bytes(model.SerializeToString())
    shutil.copyfile(ten_models.EXAMPLES / "embed-text/minilm.onnx", out / "minilm.onnx")


def rows(out: Path, random: np.random.Generator, name: str, count: int) -> dict:
    (taken,) = onnx.load(out / f"{name}.onnx").graph.input
    width = taken.type.tensor_type.shape.dim[1].dim_value
    inputs = {taken.name: random.normal(size=(count, width)).astype(np.float32)}
    return case(out, f"{name}, {count} row{'s'[: count > 1]}", f"{name}.onnx", inputs)


def words(random: np.random.Generator, count: int, length: int) -> dict[str, np.ndarray]:
    numbers = random.integers(1, 30000, (count, length))
    return {"input_ids": numbers, "attention_mask": np.ones_like(numbers)}


def case(out: Path, name: str, file: str, inputs: dict[str, np.ndarray]) -> dict:
    told = []
    for key, value in inputs.items():
        raw = f"{name.replace(', ', '-').replace(' ', '')}.{key}.bin"
        (out / raw).write_bytes(value.tobytes())
        told.append({"name": key, "datatype": DATATYPES[value.dtype], "shape": list(value.shape), "file": raw})
    return {"name": name, "file": file, "inputs": told}


if __name__ == "__main__":
    main()
