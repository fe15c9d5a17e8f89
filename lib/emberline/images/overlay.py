"""Heat over a picture: which of its pixels speak for something, and which against it."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from emberline.numeric.arrays import Float32, UInt8

_LEAST = 256  # pixels of the longer side: smaller ones are made larger
_FOR, _AGAINST = (222.0, 45.0, 38.0), (38.0, 92.0, 222.0)
_FULL = 99.0  # percentile of the heat that is drawn as strong as can be
_SHADE = 0.75  # of the picture behind the strongest heat

Colours = npt.NDArray[np.float64]


def overlaid(pixels: UInt8, heat: Float32) -> UInt8:
    """(height, width, 3): a picture (height, width, channels) in grey, red where its heat (height,
    width) is above 0, blue where below.
    """
    grey = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2)
    full = max(float(np.percentile(np.abs(heat), _FULL)), 1e-12)
    share = np.clip(np.abs(heat) / full, 0, 1)[:, :, None] * _SHADE
    colour = np.where(heat[:, :, None] >= 0, _FOR, _AGAINST)
    mixed: Colours = grey * (1 - share) + colour * share
    return np.rint(mixed).astype(np.uint8)


def side_by_side(pixels: UInt8, heat: Float32) -> bytes:
    """A PNG file of a picture and, right of it, the heat over it."""
    coloured = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    both = Image.fromarray(np.hstack([coloured, overlaid(pixels, heat)]))
    times = -(-_LEAST // max(pixels.shape[:2]))
    larger = both.resize((both.width * times, both.height * times), Image.Resampling.NEAREST)
    file = io.BytesIO()
    larger.save(file, "png", optimize=True)
    return file.getvalue()
