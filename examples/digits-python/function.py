"""Reads digits that are drawn in characters: Python before a model and after it."""

import samara_sdk
from samara_sdk import BYTES, FP32, INT64, Error, function

#: From no ink to full ink.
INKS = " .:-=+*#%@"
SIDE = 8


@function(inputs={"drawing": BYTES[-1]}, outputs={"digit": INT64[-1], "confidence": FP32[-1]})
def read(drawing):
    """The digit in each drawing of eight lines of eight characters, and the
    model's probability of it."""
    pictures = [pixels(text, index) for index, text in enumerate(drawing.texts())]
    if not pictures:
        return {"digit": [], "confidence": []}
    answer = samara_sdk.model("digits").run({"pixels": [[picture] for picture in pictures]})
    rows = answer["probabilities"].tolist()
    digits = [max(range(len(row)), key=row.__getitem__) for row in rows]
    return {"digit": digits, "confidence": [max(row) for row in rows]}


def pixels(text, index):
    lines = [line.ljust(SIDE) for line in text.splitlines()]
    if len(lines) != SIDE or any(len(line) != SIDE for line in lines):
        raise Error.invalid_input(f"drawing {index}: give {SIDE} lines of at most {SIDE} characters")
    return [[ink(character, index) for character in line] for line in lines]


def ink(character, index):
    strength = INKS.find(character)
    if strength < 0:
        raise Error.invalid_input(f"drawing {index}: {character!r} is no ink; take from {INKS!r}")
    return strength / (len(INKS) - 1)
