"""The section [cnn]: the network and how it is trained."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline import extras
from emberline.launch.team import Limits, Remedies
from emberline.models import CNN
from emberline.sections.base import Positive, Seconds, Section, Seed, tuned, where
from emberline.sections.stage import Place, Stage
from emberline.sections.teacher import SETTING, TeacherConfig

if TYPE_CHECKING:
    from emberline.sections.config import Config

# what to change where training fails, said by who meets the failure
AGAINST_NOT_FINITE = (
    "lower cnn.optimizer.learning_rate, set cnn.optimizer.clip_norm, or look at those shards"
)
TEACHER = "teacher"  # the input
AGAINST_NO_MEMORY = "lower cnn.input.global_batch_size or cnn.input.pool"


class OptimizerConfig(Section):
    """How weights are changed, step by step."""

    name: Literal["sgd", "adam", "adamw"] = Field(
        default="adam",
        description="The method: stochastic gradient descent, Adam, or Adam with decoupled "
        "weight decay.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=0.001,
        json_schema_extra=tuned(0.0001, 0.01, log=True),
        description="The size of a step, at the schedule's highest; lower it where the loss "
        "grows or is not finite.",
    )
    schedule: Literal["constant", "cosine", "step"] = Field(
        default="constant",
        json_schema_extra=tuned(choices=("constant", "cosine")),
        description="How the learning rate falls until the end: not at all, along a cosine, or "
        "in steps.",
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Over how many first steps the learning rate rises from 0."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="The momentum of sgd."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        json_schema_extra=tuned(0.0, 0.01),
        description="By which share of the learning rate weights shrink in each step; raise it "
        "against overfitting.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Gradients of a larger norm are scaled down to it; none clips nothing.",
    )

    def idle(self) -> dict[str, str]:
        return {} if self.name == "sgd" else {"momentum": "name"}


class InputConfig(Section):
    """How pictures come to the network: in which order, how many at once, how changed."""

    global_batch_size: Positive = Field(
        default=32, description="How many pictures a step sees, over all workers and replicas."
    )
    streams: Positive = Field(
        default=8,
        description="Into how many streams an epoch is cut, which workers share; it divides "
        "global_batch_size.",
    )
    pool: Positive = Field(
        default=4,
        description="Within how many row groups of a stream rows are permuted; more mix better "
        "and take more memory.",
    )
    flip: bool | None = Field(
        default=None,
        description="Whether pictures are mirrored at random while training; without it, they "
        "are for factors, but not for classes, which may be each other's mirror "
        "image.",
    )
    shift: Annotated[int, Field(ge=0)] = Field(
        default=0,
        json_schema_extra=tuned(0, 4),
        description="By up to how many pixels pictures are moved at random while training; "
        "spectrograms are moved in time only.",
    )
    band_shift: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="By up to how many bands spectrograms are moved up or down at random while "
        "training, as if somebody else spoke.",
    )
    time_mask: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Up to how many neighbouring columns of a spectrogram are blotted out at "
        "random while training.",
    )
    band_mask: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Up to how many neighbouring bands of a spectrogram are blotted out at random "
        "while training.",
    )
    gain: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="By up to how many decibels spectrograms get louder or softer at random while "
        "training.",
    )
    verify: bool = where(
        True, description="Whether shards are compared with their hashes before training."
    )
    reader_threads: Positive = where(
        2, description="How many threads of each process read and decode pictures."
    )

    def check_suits(self, of: str) -> None:
        """Raises ValueError for a change that does not suit what is learnt from, images or
        sounds.
        """
        if of == "sounds" and self.flip:
            raise ValueError("cnn.input.flip mirrors pictures: for sounds remove it")
        named = ("band_shift", "time_mask", "band_mask", "gain")
        others = [name for name in named if getattr(self, name)]
        if of == "images" and others:
            raise ValueError(
                f'cnn.input.{others[0]} is for spectrograms: remove it, or set shards.of = "sounds"'
            )

    @model_validator(mode="after")
    def _streams_share_a_batch(self) -> Self:
        if self.global_batch_size % self.streams:
            near = _nearest(self.global_batch_size, self.streams)
            raise ValueError(
                f"streams = {self.streams} does not divide global_batch_size ="
                f" {self.global_batch_size}; the nearest are {near}"
            )
        return self


def _nearest(size: int, streams: int) -> str:
    below = size // streams * streams
    return " and ".join(str(n) for n in (below, below + streams) if n)


class TeamConfig(Section):
    """Which processes train, here or on Spark's executors, and how long each may take."""

    workers: Positive = where(1, description="How many processes train together.")
    replicas: Positive = where(
        1,
        description="On how many devices each process trains: its GPUs, or as many parts of its "
        "processor.",
    )
    launcher: Literal["local", "spark"] = where(
        "local", description="Where the processes run: on this machine, or on Spark's executors."
    )
    max_restarts: Annotated[int, Field(ge=0)] = where(
        3,
        description="How often a team is started again after a process has failed, before the "
        "stage fails.",
    )
    start_timeout: Seconds = where(
        45.0,
        description="The seconds that a process may take to start; raise it where machines or "
        "executors come slowly.",
    )
    silence_timeout: Seconds = where(
        40.0, description="The seconds that a process may be silent before it counts as lost."
    )
    stall_timeout: Seconds = where(
        600.0,
        description="The seconds that a process may take for one step before it counts as "
        "stuck; raise it for slow machines and storage.",
    )
    stop_timeout: Seconds = where(
        60.0, description="The seconds that a process may take to save when it is asked to stop."
    )

    @property
    def all_replicas(self) -> int:
        """How many devices train, over all workers."""
        return self.workers * self.replicas

    def limits(self) -> Limits:
        """How long the team is waited for, and what to change where that was too short."""
        return Limits(
            self.start_timeout,
            self.silence_timeout,
            self.stall_timeout,
            self.stop_timeout,
            self.max_restarts,
            Remedies(
                late="raise cnn.team.start_timeout",
                silent="raise cnn.team.silence_timeout",
                stalled="raise cnn.team.stall_timeout",
                killed="lower cnn.input.pool",
            ),
        )


class CnnConfig(Section):
    """The network and how it is trained.

    For factors, the targets are main components of the standardised factors. The best epoch's
    weights are kept in any case: of classes the most accurate, of factors that of the smallest
    loss.
    """

    model: Literal["cifar", "resnet"] = Field(
        default="cifar",
        description="The network: the small one of TensorFlow's CIFAR-10 tutorial, or a "
        "residual net, which is better and slower.",
    )
    width: Annotated[float, Field(gt=0, le=4)] = Field(
        default=1.0,
        description="How many channels layers have, as a multiple of the network's own: .5 has "
        "about a quarter of the weights.",
    )
    teacher: TeacherConfig | None = Field(
        default=None, description="A trained network that this one learns from, beside the labels."
    )
    epochs: Positive = Field(default=40, description="How often all pictures are seen, at most.")
    patience: Positive | None = Field(
        default=None,
        description="After how many epochs without a better one training ends; without it, 8 "
        "where the learning rate is constant, else none. The best epoch's weights "
        "are kept in any case.",
    )
    components: Positive = Field(
        default=8,
        json_schema_extra=tuned(4, 16, log=True),
        description="How many main components of the standardised factors are learnt, where "
        "shards hold factors.",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        default="float32",
        description="In which floating point products are computed; the mixed ones are quicker "
        "on processors made for them.",
    )
    xla: bool = Field(
        default=False,
        description="Whether XLA compiles the training step: quicker on GPUs, slow to start.",
    )
    deterministic: bool = Field(
        default=True,
        description="Whether operations give the same numbers at each run, which costs some "
        "speed on GPUs.",
    )
    seed: Seed = Field(
        default=1,
        description="The seed of the first weights, of the order of pictures and of their "
        "augmentation.",
    )
    checkpoint_steps: Positive = where(
        500,
        description="After how many steps the state is stored, from which a killed run goes on, "
        "besides each epoch's end.",
    )
    keep_checkpoints: Positive = where(
        2, description="How many of the newest checkpoints are kept."
    )
    optimizer: OptimizerConfig = Field(
        default=OptimizerConfig(), description="How weights are changed."
    )
    input: InputConfig = Field(
        default=InputConfig(), description="How pictures come to the network."
    )
    team: TeamConfig = where(
        TeamConfig(), description="Which processes train, and how long each may be silent."
    )

    @property
    def waits(self) -> int:
        """How many epochs early stopping waits for a better one."""
        return self.patience or (8 if self.optimizer.schedule == "constant" else self.epochs)

    @field_validator("teacher", mode="before")
    @classmethod
    def _root_alone(cls, teacher: Any) -> Any:
        return {"root": teacher} if isinstance(teacher, str) else teacher

    @model_validator(mode="after")
    def _replicas_share_streams(self) -> Self:
        team, streams = self.team, self.input.streams
        if streams % team.all_replicas:
            near = " and ".join(str(n) for n in range(1, streams + 1) if streams % n == 0)
            asked = f"team.replicas = {team.replicas}"
            if team.workers > 1:
                asked = f"team.workers * team.replicas = {team.workers} * {team.replicas}"
            raise ValueError(f"{asked} does not divide input.streams = {streams}; {near} do")
        return self

    @model_validator(mode="after")
    def _xla_can(self) -> Self:
        if self.xla and self.deterministic and self.model == "cifar":
            raise ValueError(
                "XLA has no deterministic gradient of max pooling: remove xla, or set deterministic"
                " = false"
            )
        if self.xla and self.model == "resnet" and self.team.all_replicas > 1:
            raise ValueError(
                "XLA does not synchronise batch normalisation between replicas: remove xla, or"
                " train on one replica"
            )
        return self


def _elsewhere(config: "Config") -> dict[str, Place]:
    teacher = config.cnn.teacher if config.cnn else None
    return {} if teacher is None else {TEACHER: Place(SETTING, teacher.root, CNN.name)}


STAGE = Stage(
    "train-cnn",
    CNN.name,
    "tensorflow",
    "emberline.cnn.train:run",
    reads=lambda config: ("shards_train", "shards_val"),
    writes=lambda config: (CNN.name,),
    elsewhere=_elsewhere,
    on_spark="emberline.spark.barrier:run",
    saves=True,
    extra=lambda config: extras.TRAIN,
)
