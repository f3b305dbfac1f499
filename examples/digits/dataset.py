"""The digits that train the model, and the ones kept back to test it.

The data is scikit-learn's bundled copy of the UCI "Optical Recognition of
Handwritten Digits" test set: 1,797 grey digits of 8x8 pixels, values 0 to 16.
"""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HELD_OUT_PER_DIGIT = 36


def split() -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the training digits and of the 360 held-out ones.

    The held-out indices are in a random order that is the same on every
    machine, so that any first part of them is a fair test set of its own.
    """
    labels = load_digits().target
    random = np.random.RandomState(20261122)  # its stream never changes between versions of numpy
    held_out = np.concatenate(
        [random.permutation(np.flatnonzero(labels == digit))[:HELD_OUT_PER_DIGIT] for digit in range(10)]
    )
    training = np.setdiff1d(np.arange(len(labels)), held_out)
    return training, random.permutation(held_out)


def picture(index: int) -> Image.Image:
    """Returns the digit at `index` as a grey 8x8 picture, light on dark."""
    values = load_digits().images[index]
    return Image.fromarray((values * 255 / 16).round().astype(np.uint8))


def load() -> tuple[list[Image.Image], np.ndarray]:
    """Returns every digit as a grey 8x8 picture, light on dark, and its label."""
    digits = load_digits()
    values = (digits.images * 255 / 16).round().astype(np.uint8)
    return [Image.fromarray(value) for value in values], digits.target


MODES = ("L", "RGB", "RGBA", "P", "I;16")


def variant(
    digit: Image.Image,
    *,
    side: int,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    dark_on_light: bool = False,
    mode: str = "L",
) -> Image.Image:
    """Returns `digit` as a user might send it.

    It is `side` pixels high and wide, with `margins` (left, top, right, bottom)
    around it, and stored in one of `MODES`. An RGBA picture has a transparent
    background, so that its ink shows in its alpha channel alone.
    """
    left, top, right, bottom = margins
    ink = Image.new("L", (left + side + right, top + side + bottom))
    ink.paste(digit.resize((side, side), resampling), (left, top))
    grey = ink.point(lambda shade: 255 - shade) if dark_on_light else ink
    match mode:
        case "L" | "RGB":
            return grey.convert(mode)
        case "RGBA":
            drawing = Image.new("RGB", ink.size, (20, 30, 60) if dark_on_light else (250, 240, 200))
            drawing.putalpha(ink)
            return drawing
        case "P":
            return grey.quantize(64)
        case "I;16":
            return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    raise ValueError(f"`{mode}` is none of the modes {', '.join(MODES)}")
