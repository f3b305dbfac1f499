"""From a picture to the pixels that the model reads.

The `preprocess` stage (preprocess/src/pixels.rs) does the same in Rust, in
float64 too, so that both answer with the same float32 pixels.
"""

import numpy as np
from PIL import Image

SIDE = 224
"""Width and height of what the model reads."""

SHOWN = 224 / 256
"""How much of the picture's shorter side is used, in the middle."""

MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])
"""Of ImageNet's red, green and blue, from 0 to 1."""


def preprocess(picture: Image.Image) -> np.ndarray:
    """Returns the picture as `pixels`: float32 [1, 3, 224, 224]."""
    colours = rgb(picture)
    height, width, _ = colours.shape
    side = min(width, height) * SHOWN
    columns, rows = weights((width - side) / 2, side, width), weights((height - side) / 2, side, height)
    channels = rows @ (colours.transpose(2, 0, 1) @ columns.T)
    normal = (channels / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]
    return normal.astype(np.float32)[None]


def rgb(picture: Image.Image) -> np.ndarray:
    """Returns red, green and blue from 0 to 255 as float64 [height, width, 3], over white where transparent."""
    rgba = np.asarray(picture.convert("RGBA")).astype(np.int64)
    alpha = rgba[..., 3:]
    return (rgba[..., :3] * alpha + 255 * (255 - alpha)) / 255


def weights(start: float, side: float, length: int) -> np.ndarray:
    """Returns how much of each of `length` pixels goes into each of the 224 of a window.

    The window begins at `start` and is `side` pixels long. The weight of a pixel
    falls linearly with its distance, to zero at one pixel of whichever grid is coarser.
    """
    step = side / SIDE
    reach = max(step, 1.0)
    centres = start + (np.arange(SIDE) + 0.5) * step
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None])
    near = np.maximum(1 - distance / reach, 0)
    return near / near.sum(axis=1, keepdims=True)
