"""A published network in a small form, run by LiteRT (`ai-edge-litert`) or, in ONNX's form, by ONNX
Runtime: pictures to classes or to factors, without TensorFlow. docs/serving.md shows how to use it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from emberline import extras
from emberline.datasets import manifest as manifests
from emberline.datasets import released, storage
from emberline.datasets.artifacts import content_of
from emberline.datasets.facts import Classes, Exported, Pictures
from emberline.datasets.light import LightForm
from emberline.datasets.manifest import Dataset
from emberline.errors import ConfigError, NotServedError
from emberline.models import EXPORTED
from emberline.numeric.arrays import Float32
from emberline.serving.onnx import Session

Pixels = npt.NDArray[np.uint8]
_BATCH = 32  # pictures at a time: few enough to stay in a core's cache


@dataclass(frozen=True)
class Guess:
    """A class, and how probable it is."""

    name: str
    probability: float


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

    def outputs(self, pixels: Pixels) -> Float32:
        """(n, outputs) of pictures (n, height, width, channels)."""
        with self._lock:
            found = [
                self._some(pixels[first : first + _BATCH])
                for first in range(0, len(pixels), _BATCH)
            ]
        return np.concatenate(found) if found else np.empty((0, self._width()), np.float32)

    def _some(self, pixels: Pixels) -> Float32:
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


class Network(Protocol):
    """What runs a file: uint8 pictures (n, height, width, channels) to numbers (n, outputs), which
    are `scale * (output - zero_point)` of what the file answers.
    """

    scale: float
    zero_point: int

    def outputs(self, pixels: Pixels) -> Float32: ...


def run_by(form: str) -> Callable[..., Network]:
    """What runs files of a form; it takes their content, and on how many threads."""
    return Session if form == "onnx" else Interpreter


class LightModel:
    """The network of a release, or of a root, in one of the forms that it was exported to."""

    def __init__(self, exported: Dataset, form: str = "int8", threads: int = 1) -> None:
        """Raises NotServedError for a form that was not exported, ManifestError for a file that was
        altered, ConfigError where what runs the form is not installed.
        """
        told = _told(exported, form)
        self._network = run_by(told.form)(content_of(exported, told.file), threads)
        self.form = told
        self.shape = exported.manifest.facts(Pictures).shape
        classes = exported.manifest.given(Classes)
        self.classes: tuple[str, ...] = tuple(classes.classes) if classes else ()

    @classmethod
    def open(cls, place: str | PathLike[str], form: str = "int8", threads: int = 1) -> Self:
        """Read what was published to a folder, or a pipeline's root."""
        root = released.current_root(storage.locate(str(place)))
        return cls(manifests.load(root, EXPORTED), form, threads)

    def outputs(self, pixels: Pixels) -> Float32:
        """(n, outputs) of pictures (n, height, width, channels) of uint8, as they are in `images`:
        of classes logits, else factors, which a user's are multiplied with. Raises ConfigError for
        other pictures.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != self.shape:
            raise ConfigError(
                f"the network takes pictures (n, {', '.join(map(str, self.shape))}) of uint8, found"
                f" {pixels.shape} of {pixels.dtype}"
            )
        return self._network.outputs(pixels)

    def classify(self, pixels: Pixels, k: int = 1) -> list[list[Guess]]:
        """Of each picture the k most probable classes, the first one first. Raises NotServedError
        where the network predicts factors.
        """
        if not self.classes:
            raise NotServedError("this network predicts factors, not classes: ask for its outputs")
        logits = self.outputs(pixels)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        return [
            [Guess(self.classes[place], float(row[place])) for place in places]
            for row, places in zip(shares, best.tolist(), strict=True)
        ]


def _told(exported: Dataset, form: str) -> LightForm:
    """What the manifest says of a small form. Raises NotServedError where it has none of that
    name.
    """
    forms = exported.manifest.facts(Exported).forms
    known = {each.form: each for each in forms if each.form != "keras"}
    if form not in known:
        raise NotServedError(
            f"{exported.folder} has no form {form!r:.60}; it has {', '.join(known) or 'none'}"
        )
    return known[form]


def _interpreter(content: bytes, threads: int) -> Any:
    """Raises ConfigError where LiteRT is not installed."""
    if not extras.LITERT.is_here():
        raise ConfigError(
            f"{extras.LITERT.brings} runs a network in a small form, and is not installed:"
            f" {extras.LITERT.remedy}"
        )
    from ai_edge_litert.interpreter import Interpreter as Run

    return Run(model_content=content, num_threads=threads)
