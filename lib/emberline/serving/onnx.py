"""A network in ONNX's form, run by ONNX Runtime (`onnxruntime`, extra `onnx`)."""

from typing import Any

import numpy as np

from emberline import extras
from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, UInt8

_BATCH = 32  # pictures at a time: few enough to stay in a core's cache


class Session:
    """A file of ONNX, run on so many threads of this machine's processor: uint8 pictures to
    numbers. Threads may share one.
    """

    scale, zero_point = 1.0, 0  # of its outputs: they are the numbers themselves

    def __init__(self, content: bytes, threads: int = 1) -> None:
        self._run = _session(content, threads)
        (asked,), (answered,) = self._run.get_inputs(), self._run.get_outputs()
        self._pictures, self._width = asked.name, answered.shape[-1]

    def outputs(self, pixels: UInt8) -> Float32:
        """(n, outputs) of pictures (n, height, width, channels)."""
        found = [
            self._run.run(None, {self._pictures: pixels[first : first + _BATCH]})[0]
            for first in range(0, len(pixels), _BATCH)
        ]
        return np.concatenate(found) if found else np.empty((0, self._width), np.float32)


def _session(content: bytes, threads: int) -> Any:
    """Raises ConfigError where ONNX Runtime is not installed."""
    if not extras.ONNX_RUNTIME.is_here():
        raise ConfigError(
            f"{extras.ONNX_RUNTIME.brings} runs a network of that form, and is not installed:"
            f" {extras.ONNX_RUNTIME.remedy}"
        )
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return InferenceSession(content, options, providers=["CPUExecutionProvider"])
