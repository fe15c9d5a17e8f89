"""A network in a small form: what a manifest says of its file."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["keras", "float32", "float16", "int8", "onnx"]


@dataclass(frozen=True)
class LightForm:
    """A network as one file, measured on the same pictures as the network: its `value`, how much
    less that is than the network's (`loss`), which may be `most`, and how far it is from the
    network's answers: the share of other classes, or one less the mean cosine of factors.

    `scale` and `zero_point` are those of its outputs: `scale * (output - zero_point)`; speed is in
    pictures a second of one thread's processor time.
    """

    form: Form
    file: str
    bytes: int
    value: float
    loss: float
    most: float
    distance: float
    pictures_per_second: float
    scale: float = 1.0
    zero_point: int = 0

    @property
    def holds(self) -> bool:
        """Whether it is as good as it has to be."""
        return self.loss <= self.most
