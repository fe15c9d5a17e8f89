"""What runs an exported network: pictures in, its outputs out, a few pictures at a time."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from emberline.numeric.arrays import Float32, UInt8

_PICTURES = 32  # at a time: few enough to stay in a core's cache


class Network(Protocol):
    """What runs a file: uint8 pictures (n, height, width, channels) to numbers (n, outputs), which
    are `scale * (output - zero_point)` of what the file answers.
    """

    scale: float
    zero_point: int

    def outputs(self, pixels: UInt8) -> Float32: ...


def outputs_of(run: Callable[[UInt8], Float32], pixels: UInt8, width: int) -> Float32:
    """(n, width) of n pictures, of which `run` takes a few at a time."""
    found = [run(pixels[first : first + _PICTURES]) for first in range(0, len(pixels), _PICTURES)]
    return np.concatenate(found) if found else np.empty((0, width), np.float32)
