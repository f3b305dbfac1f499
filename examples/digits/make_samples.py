"""Writes the sample pictures and the test cases from held-out digits and digits.onnx.

    python3 make_samples.py

The pictures are `three.png` and so on beside this script. Each test case in
tests/ is an Open Inference Protocol request with a picture (base64), and the
answer that Python's onnxruntime gives to it.
"""

import base64
import io
import json
from pathlib import Path

import onnxruntime
from PIL import Image

import dataset
import pixels

HERE = Path(__file__).parent

SAMPLES = {
    "three.png": dict(digit=3, side=256),
    "seven.png": dict(digit=7, side=130, margins=(110, 40, 60, 30), dark_on_light=True, mode="RGB"),
    "eight.png": dict(digit=8, side=8, resampling=Image.Resampling.NEAREST),
    "zero.png": dict(digit=0, side=96, margins=(16, 16, 16, 16), dark_on_light=True, mode="RGBA"),
    "five.jpg": dict(digit=5, side=100, margins=(30, 10, 30, 10), dark_on_light=True),
}


def main() -> None:
    session = onnxruntime.InferenceSession(HERE / "digits.onnx", providers=["CPUExecutionProvider"])
    pictures, labels = dataset.load()
    _, held_out = dataset.split()
    (HERE / "tests").mkdir(exist_ok=True)
    for name, wish in SAMPLES.items():
        digit = wish.pop("digit")
        index = next(i for i in held_out if labels[i] == digit)
        picture = dataset.variant(pictures[index], **wish)
        file = HERE / name
        picture.save(file, **({"quality": 90} if file.suffix == ".jpg" else {"optimize": True}))

        decoded = pixels.decode(Image.open(io.BytesIO(file.read_bytes())))
        (probabilities,) = session.run(None, {"pixels": decoded})
        answer = int(probabilities.argmax())
        if answer != digit:
            raise SystemExit(f"`{name}` shows a {digit} but is taken for a {answer}: choose another digit or model")
        print(f"{name}: {picture.size[0]} x {picture.size[1]} {picture.mode}, {file.stat().st_size} bytes")
        write_case(file, answer, probabilities[0].tolist())


def write_case(file: Path, digit: int, probabilities: list[float]) -> None:
    request = {
        "inputs": [
            {
                "name": "image",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"content_type": "base64"},
                "data": [base64.b64encode(file.read_bytes()).decode()],
            }
        ]
    }
    response = {
        "outputs": [
            {"name": "digit", "datatype": "INT64", "shape": [1], "data": [digit]},
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": probabilities},
        ]
    }
    for suffix, content in ((".json", request), (".expected.json", response)):
        case = HERE / "tests" / f"{file.stem}{suffix}"
        case.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
