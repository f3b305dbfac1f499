"""What Pillow and onnxruntime answer: the reference that tests compare samara with.

    python3 reference.py PICTURE MODEL.onnx

The answer goes to stdout as an Open Inference Protocol response.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

import pixels


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python3 reference.py PICTURE MODEL.onnx")
    picture, model = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixels": pixels.preprocess(Image.open(picture))})
    classes, probabilities = top5(logits[0].astype(np.float64))
    outputs = [
        {"name": "classes", "datatype": "INT64", "shape": [5], "data": classes.tolist()},
        {"name": "probabilities", "datatype": "FP32", "shape": [5], "data": probabilities.tolist()},
    ]
    json.dump({"model_name": "classify-image", "outputs": outputs}, sys.stdout)
    print()


def top5(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the five most probable classes, the most probable first, and their probabilities."""
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    classes = np.argsort(-shares, kind="stable")[:5]
    return classes, shares[classes].astype(np.float32)


if __name__ == "__main__":
    main()
