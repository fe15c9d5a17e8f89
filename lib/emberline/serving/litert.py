"""A network in LiteRT's form, run by LiteRT (`ai-edge-litert`, extra `litert`)."""

import threading
from typing import Any

import numpy as np

from emberline import extras
from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, UInt8
from emberline.serving.networks import outputs_of


class Interpreter:
    """A file of LiteRT, run on so many threads of this machine's processor: uint8 pictures to
    numbers, which are `scale * (output - zero_point)`. Threads that share one wait for each other.
    """

    def __init__(self, content: bytes, threads: int = 1) -> None:
        self._run = _interpreter(content, threads)
        scale, zero_point = self._run.get_output_details()[0]["quantization"]
        self.scale, self.zero_point = float(scale) or 1.0, int(zero_point)
        self._size = 0
        self._lock = threading.Lock()

    def outputs(self, pixels: UInt8) -> Float32:
        """(n, outputs) of pictures (n, height, width, channels)."""
        with self._lock:
            return outputs_of(self._some, pixels, self._width())

    def _some(self, pixels: UInt8) -> Float32:
        asked = self._run.get_input_details()[0]
        if self._size != len(pixels):
            self._run.resize_tensor_input(asked["index"], pixels.shape)
            self._run.allocate_tensors()
            self._size = len(pixels)
        self._run.set_tensor(asked["index"], pixels)
        self._run.invoke()
        found = self._run.get_tensor(self._run.get_output_details()[0]["index"])
        exact: Float32 = (found.astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return exact

    def _width(self) -> int:
        return int(self._run.get_output_details()[0]["shape"][-1])


def _interpreter(content: bytes, threads: int) -> Any:
    """Raises ConfigError where LiteRT is not installed."""
    if not extras.LITERT.is_here():
        raise ConfigError(
            f"{extras.LITERT.brings} runs a network in a small form, and is not installed:"
            f" {extras.LITERT.remedy}"
        )
    from ai_edge_litert.interpreter import Interpreter as Run

    return Run(model_content=content, num_threads=threads)
