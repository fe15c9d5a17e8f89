"""A network in ONNX's form, run by ONNX Runtime (`onnxruntime`, extra `onnx`)."""

from typing import Any

from emberline import extras
from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, UInt8
from emberline.serving.networks import outputs_of


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
        return outputs_of(self._some, pixels, self._width)

    def _some(self, pixels: UInt8) -> Float32:
        found: Float32 = self._run.run(None, {self._pictures: pixels})[0]
        return found


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
