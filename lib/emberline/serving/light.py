"""A published network in a small form, run by LiteRT (`ai-edge-litert`) or, in ONNX's form, by ONNX
Runtime: pictures to classes or to factors, without TensorFlow. docs/serving.md shows how to use it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Self

import numpy as np

from emberline.datasets import manifest as manifests
from emberline.datasets import released, storage
from emberline.datasets.artifacts import content_of
from emberline.datasets.facts import Classes, Exported, Pictures
from emberline.datasets.light import LightForm
from emberline.datasets.manifest import Dataset
from emberline.errors import ConfigError, NotServedError
from emberline.models import EXPORTED
from emberline.numeric.arrays import Float32, UInt8
from emberline.serving.litert import Interpreter
from emberline.serving.networks import Network
from emberline.serving.onnx import Session


@dataclass(frozen=True)
class Guess:
    """A class, and how probable it is."""

    name: str
    probability: float


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

    def outputs(self, pixels: UInt8) -> Float32:
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

    def classify(self, pixels: UInt8, k: int = 1) -> list[list[Guess]]:
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
