"""The section [cnn]: the network and how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.models import CNN
from emberline.sections.base import Positive, Seconds, Section, Seed, where
from emberline.sections.stage import Stage


class CnnConfig(Section):
    """The network and how it is trained.

    For factors, the targets are the `components` main components of the standardised factors. Early
    stopping waits `patience` epochs for a better one, and the best epoch's weights are kept in any
    case: of classes the most accurate, of factors that of the smallest loss. Without `patience` it
    waits for 8 where the learning rate is constant, and for none where it falls to the end, for
    which the last epochs are there. While training, pictures are moved by up to `shift` pixels, and
    mirrored at random with `flip`; where it is not set, they are for factors, but not for classes,
    which may be each other's mirror image. An epoch is cut into `streams`, and rows are permuted
    within pools of `pool` row groups. `workers` processes, here or on Spark's executors, train on
    `replicas` devices each; the timeouts are the seconds that one of them may take to start, be
    silent, finish no step, or save when it is asked to stop.
    """

    model: Literal["cifar", "resnet"] = "cifar"
    epochs: Positive = 40
    global_batch_size: Positive = 32
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    xla: bool = False
    patience: Positive | None = None
    flip: bool | None = None
    shift: Annotated[int, Field(ge=0)] = 0
    components: Positive = 8
    streams: Positive = 8
    pool: Positive = 4
    deterministic: bool = True
    seed: Seed = 1
    checkpoint_steps: Positive = where(500)
    keep_checkpoints: Positive = where(2)
    verify: bool = where(True)
    reader_threads: Positive = where(2)
    workers: Positive = where(1)
    replicas: Positive = where(1)
    launcher: Literal["local", "spark"] = where("local")
    max_restarts: Annotated[int, Field(ge=0)] = where(3)
    start_timeout: Seconds = where(45.0)
    silence_timeout: Seconds = where(40.0)
    stall_timeout: Seconds = where(600.0)
    stop_timeout: Seconds = where(60.0)

    @property
    def waits(self) -> int:
        """How many epochs early stopping waits for a better one."""
        return self.patience or (8 if self.schedule == "constant" else self.epochs)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.global_batch_size % self.streams:
            near = _nearest(self.global_batch_size, self.streams)
            raise ValueError(
                f"streams = {self.streams} does not divide global_batch_size ="
                f" {self.global_batch_size}; the nearest are {near}"
            )
        if self.streams % (self.workers * self.replicas):
            near = " and ".join(str(n) for n in range(1, self.streams + 1) if self.streams % n == 0)
            workers = (
                f"workers * replicas = {self.workers} * " if self.workers > 1 else "replicas = "
            )
            raise ValueError(
                f"{workers}{self.replicas} does not divide streams = {self.streams}; {near} do"
            )
        if self.xla and self.deterministic and self.model == "cifar":
            raise ValueError(
                "XLA has no deterministic gradient of max pooling: remove xla, or set deterministic"
                " = false"
            )
        if self.xla and self.model == "resnet" and self.workers * self.replicas > 1:
            raise ValueError(
                "XLA does not synchronise batch normalisation between replicas: remove xla, or"
                " train on one replica"
            )
        return self


def _nearest(size: int, streams: int) -> str:
    below = size // streams * streams
    return " and ".join(str(n) for n in (below, below + streams) if n)


STAGE = Stage(
    "train-cnn",
    CNN.name,
    "tensorflow",
    "emberline.cnn.train:run",
    reads=lambda config: ("shards_train", "shards_val"),
    writes=lambda config: (CNN.name,),
    on_spark="emberline.spark.barrier:run",
    saves=True,
)
