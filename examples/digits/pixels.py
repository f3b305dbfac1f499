"""From a picture of one digit to the 8x8 pixels that the model reads.

The `decode` stage (by picture/src/pixels.rs) does the same in Rust. Everything up
to the ink is exact integer arithmetic and everything after it is float64, so
that both answer with the same float32 pixels.
"""

import numpy as np
from PIL import Image

SIDE = 8
"""Width and height of what the model reads."""

MAX_PIXELS = 4096 * 4096
"""A larger picture is refused before any of its pixels is decoded."""

MIN_CONTRAST = 0.05
"""Of the full range; with less, a picture holds nothing but its background."""

INK = 0.3
"""A pixel with at least this much ink belongs to the digit."""

FILLS = 0.75
"""A digit that covers this much of its frame is not cropped."""


class PictureError(ValueError):
    """The picture cannot be turned into a digit's pixels."""


def decode(picture: Image.Image) -> np.ndarray:
    """Returns the picture as `pixels`: float32 [1, 1, 8, 8], ink 1, background 0."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"the picture has {width} x {height} pixels, more than {MAX_PIXELS}")
    return pixels(ink(shades(picture)))[None, None]


def shades(picture: Image.Image) -> np.ndarray:
    """Returns how bright each pixel is: integers from 0 to 1000 * 255 * 255.

    Transparent pixels show a backing that contrasts with what is drawn: white
    behind a dark drawing, black behind a light one.
    """
    if picture.mode.startswith("I;16"):
        high_bytes = (np.asarray(picture).astype(np.uint16) >> 8).astype(np.int64)
        return high_bytes * 1000 * 255
    rgba = np.asarray(picture.convert("RGBA")).astype(np.int64)
    luma = 299 * rgba[..., 0] + 587 * rgba[..., 1] + 114 * rgba[..., 2]
    alpha = rgba[..., 3]
    drawn_is_dark = 2 * (luma * alpha).sum() < 1000 * 255 * alpha.sum()
    backing = 1000 * 255 if drawn_is_dark else 0
    return luma * alpha + backing * (255 - alpha)


def ink(shades: np.ndarray) -> np.ndarray:
    """Returns how much ink each pixel holds: 0 at the background, 1 at the strongest.

    The background is the median shade of the outermost pixels. The digit may
    be lighter or darker: whichever side reaches further from the background.
    """
    outermost = np.ones(shades.shape, dtype=bool)
    outermost[1:-1, 1:-1] = False
    border = np.sort(shades[outermost])
    background = border[(len(border) - 1) // 2]
    above, below = shades.max() - background, background - shades.min()
    contrast = max(above, below)
    if contrast < MIN_CONTRAST * 1000 * 255 * 255:
        raise PictureError("the picture is one flat shade: no digit to read")
    distance = shades - background if above >= below else background - shades
    return np.maximum(distance, 0) / np.float64(contrast)


def pixels(ink: np.ndarray) -> np.ndarray:
    """Returns the frame around the digit, scaled to 8x8 and so that the strongest pixel is 1.

    The last step lets thin strokes, which are pale after scaling, count as much as thick ones.
    """
    x, y, side = frame(ink)
    height, width = ink.shape
    rows, columns = weights(y, side, height), weights(x, side, width)
    scaled = rows @ (ink @ columns.T)
    return (scaled / scaled.max()).astype(np.float32)


def frame(ink: np.ndarray) -> tuple[float, float, float]:
    """Returns the left, top and side of the square that is scaled to 8x8.

    That is the whole picture, centred in a square, unless the digit is small
    in it: then it is the square around the digit alone.
    """
    height, width = ink.shape
    ys, xs = np.nonzero(ink >= INK)
    left, right, top, bottom = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
    digit, whole = max(right - left, bottom - top), max(width, height)
    if digit >= FILLS * whole:
        left, right, top, bottom, digit = 0, width, 0, height, whole
    side = float(digit)
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def weights(start: float, side: float, length: int) -> np.ndarray:
    """Returns the share of each of `length` pixels in each of the 8 cells of a frame.

    A cell is the average of the pixels it covers. A cell smaller than a pixel
    is widened to one around its centre, which is linear interpolation.
    """
    step = side / SIDE
    reach = max(step, 1.0)
    centres = start + (np.arange(SIDE) + 0.5) * step
    low, high = centres - reach / 2, centres + reach / 2
    pixel = np.arange(length, dtype=np.float64)
    covered = np.minimum(high[:, None], pixel + 1) - np.maximum(low[:, None], pixel)
    return np.maximum(covered, 0) / reach
