"""The rival of the function `embed-text`: Python, tokenizers and onnxruntime.

    python3 rival_text.py THREADS

Each line of input is sentences with tabs between. For each it embeds them, computes how
similar each is to each, and prints how many there were.
"""

import os
import sys
from pathlib import Path

THREADS = int(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(THREADS)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embed-text"
sys.path.insert(0, str(EXAMPLE))

import onnxruntime  # noqa: E402

import reference  # noqa: E402


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(EXAMPLE / "minilm.onnx", options, providers=["CPUExecutionProvider"])
    words = reference.tokenizer()
    for line in sys.stdin:
        embedding = reference.embed(session, words, line.rstrip("\n").split("\t"))
        similarity = embedding @ embedding.T
        print(len(similarity), flush=True)


if __name__ == "__main__":
    main()
