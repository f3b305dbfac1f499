"""Writes digits.txt: the digits that train, then those that judge.

    python3 make_data.py

A line is a digit: its label, a space, and its 8x8 pixels, row by row, each a
letter from `a` (0) to `q` (16). The first 1,437 lines are those that train the
model of examples/digits, in the order of scikit-learn, the other 360 those that
are kept back from it.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "digits"))

import dataset  # noqa: E402


def main() -> None:
    digits = load_digits()
    training, held_out = dataset.split()
    lines = [line(digits.target[index], digits.images[index]) for index in [*training, *held_out]]
    (HERE / "digits.txt").write_text("".join(lines))


def line(label: int, image: np.ndarray) -> str:
    pixels = "".join(chr(ord("a") + int(value)) for value in image.ravel())
    return f"{label} {pixels}\n"


if __name__ == "__main__":
    main()
