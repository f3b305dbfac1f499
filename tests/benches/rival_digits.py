"""The rival of `samara run examples/digits --input image=@three.png`.

    python3 rival_digits.py [PICTURE [MODEL.onnx]]

Python, Pillow, numpy and onnxruntime do the same job from start to exit: load
the model, decode the picture to the same pixels, run, print the digit.
"""

import sys
from pathlib import Path

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
sys.path.insert(0, str(DIGITS))

import onnxruntime  # noqa: E402
from PIL import Image  # noqa: E402

import pixels  # noqa: E402


def main() -> None:
    picture = sys.argv[1] if len(sys.argv) > 1 else DIGITS / "three.png"
    model = sys.argv[2] if len(sys.argv) > 2 else DIGITS / "digits.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"pixels": pixels.decode(Image.open(picture))})
    digit = probabilities[0].argmax()
    print(f"digit: {digit}")
    print(f"probabilities: {' '.join(f'{p:.4f}' for p in probabilities[0])}")


if __name__ == "__main__":
    main()
