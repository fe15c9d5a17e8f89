"""One training step after the other: the inner loop, the same for one replica and for several, of
one process or of many.

The loss of a global batch is the sum over its rows of weight times loss, divided by the sum of its
weights; each replica computes its rows' share, and the optimizer adds up the gradients.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emberline.cnn.losses import Teaching, losses
from emberline.cnn.reader import Batch
from emberline.cnn.shards import Targets
from emberline.cnn.strategy import Strategy, rank_of, served_by, workers_of
from emberline.images.pixels import Pixels
from emberline.numeric.arrays import Array, Float64
from emberline.sections.cnn import CnnConfig, OptimizerConfig

_EVALUATION_BATCH = 512


# AutoGraph has nothing to translate here, and a process that is killed would leave what it
# translates among temporary files.
_graph = partial(tf.function, autograph=False)


class NotFiniteError(Exception):
    """The loss of the step numbered `taken`, counted from where training was told to go on, is
    not finite.
    """

    def __init__(self, loss: float, taken: int) -> None:
        super().__init__(f"the loss is {loss}")
        self.taken = taken


@dataclass(frozen=True)
class Steps:
    """What some steps came to: how many, the sums over their rows of loss and of weight, and
    whether somebody asked to stop.
    """

    taken: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    stopped: bool = False


def make_optimizer(config: CnnConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """As configured; weight decay is decoupled (Loshchilov and Hutter 2019) and spares biases
    and normalisation.
    """
    chosen = config.optimizer
    rate = _learning_rate(chosen, config.epochs * steps_per_epoch)
    decay = chosen.weight_decay or None
    if chosen.name == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=chosen.momentum, weight_decay=decay)
    elif chosen.name == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=chosen.weight_decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return (
        keras.optimizers.LossScaleOptimizer(optimizer)
        if config.precision == "mixed_float16"
        else optimizer
    )


# Keras has no types
class _Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`rate` times the schedule's factor, which rises from 0 over the warm-up and ends at 0
    (cosine) or at 1/100 (step).
    """

    def __init__(self, config: OptimizerConfig, steps: int) -> None:
        self._config = config
        self._steps = steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        warm = self._config.warmup_steps
        done = tf.clip_by_value((step - warm) / max(1, self._steps - warm), 0.0, 1.0)
        if self._config.schedule == "cosine":
            factor = (1 + tf.cos(np.pi * done)) / 2
        elif self._config.schedule == "step":
            factor = tf.where(done < 0.5, 1.0, tf.where(done < 0.75, 0.1, 0.01))
        else:
            factor = tf.ones_like(done)
        return self._config.learning_rate * factor * tf.minimum(1.0, (step + 1) / max(1, warm))

    def get_config(self) -> dict[str, Any]:
        return {"config": self._config.what(), "steps": self._steps}


def _learning_rate(config: OptimizerConfig, steps: int) -> float | _Rate:
    if config.schedule == "constant" and not config.warmup_steps:
        return config.learning_rate
    return _Rate(config, steps)


class Trainer:
    """A model and its optimizer under a strategy. Make the model and the optimizer in the
    strategy's scope.

    Where the strategy spans several processes, all of them call the same methods in the same order.
    """

    def __init__(
        self,
        strategy: Strategy,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task: str,
        config: CnnConfig,
        teaching: Teaching | None = None,
    ) -> None:
        self._strategy = strategy
        self._task = task
        self._teaching = teaching
        self._clip_norm = config.optimizer.clip_norm
        self.model = model
        self.optimizer = optimizer
        with strategy.scope():
            optimizer.build(model.trainable_variables)
        self._gradients = (
            _graph(self._compute_gradients, jit_compile=True)
            if config.xla
            else self._compute_gradients
        )
        self._step_function = _graph(self._global_step)
        self._measure_function = _graph(self._measure_on_replicas, reduce_retracing=True)
        self._sum_function = _graph(self._sum_over_replicas)

    @property
    def replicas(self) -> int:
        """Of all processes."""
        return int(self._strategy.num_replicas_in_sync)

    @property
    def served(self) -> range:
        """The replicas that this process computes."""
        return served_by(self._strategy)

    @property
    def rank(self) -> int:
        """Which of the processes this one is; 0 is the chief, who alone writes."""
        return rank_of(self._strategy)

    @property
    def workers(self) -> int:
        """How many processes there are."""
        return workers_of(self._strategy)

    def train(
        self,
        batches: Iterable[list[Batch]],
        num_steps: int,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Steps:
        """Take up to `num_steps` steps, fewer where one process's `stopping` says so: then all stop
        after the same step.

        A batch is what this process's replicas take of it. A step's loss is looked at while the
        next one is computed. Raises NotFiniteError.
        """
        steps, waiting = Steps(), None
        for _, parts in zip(range(num_steps), batches, strict=False):
            vote = np.float32(stopping())
            figures = self._step_function(*self._on_replicas(parts, vote))
            if waiting:
                steps = _counted(steps, *waiting)
            waiting = figures, parts[0].total
            if steps.stopped:
                break
        return _counted(steps, *waiting) if waiting else steps

    def _on_replicas(self, parts: list[Batch], vote: np.float32) -> list[Any]:
        """Pixels, targets, weights, the global sum of the weights, and this process's vote for
        stopping, each replica its own.
        """
        columns: list[list[Any]] = [
            [part.pixels for part in parts],
            [part.targets for part in parts],
            [part.weights for part in parts],
            [np.float32(part.total) for part in parts],
            [vote for _ in parts],
        ]
        return [self._spread(column) for column in columns]

    def _spread(self, values: list[Any]) -> Any:
        """One value for each of this process's replicas."""
        if self.replicas == 1:
            return tf.convert_to_tensor(values[0])
        first = self.served[0]
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.convert_to_tensor(values[context.replica_id_in_sync_group - first])
        )

    def _global_step(
        self, pixels: Any, targets: Any, weights: Any, total: Any, vote: Any
    ) -> tf.Tensor:
        """(2,): the loss, and the sum of the votes, over all replicas."""
        shares = self._strategy.run(
            self._replica_step, args=(pixels, targets, weights, total, vote)
        )
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    def _replica_step(
        self,
        pixels: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        total: tf.Tensor,
        vote: tf.Tensor,
    ) -> tf.Tensor:
        told = self._teaching.answers(pixels) if self._teaching else None
        loss, gradients = self._gradients(pixels, targets, told, weights, total)
        if self._clip_norm is not None:
            gradients = self._clipped(gradients, self._clip_norm)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        return tf.stack([loss, vote])

    def _compute_gradients(
        self,
        pixels: tf.Tensor,
        targets: tf.Tensor,
        told: tf.Tensor | None,
        weights: tf.Tensor,
        total: tf.Tensor,
    ) -> Any:
        """This replica's share of the loss, and its gradients, scaled where the optimizer
        scales losses.
        """
        with tf.GradientTape() as tape:
            outputs = self.model(pixels, training=True)
            each = (
                self._teaching.losses(self._task, targets, told, outputs)
                if self._teaching
                else losses(self._task, targets, outputs)
            )
            loss = tf.reduce_sum(weights * each) / total
            scaled = self.optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled, self.model.trainable_variables)

    def _clipped(self, gradients: list[tf.Tensor], norm: float) -> list[tf.Tensor]:
        """The whole batch's gradients, made no longer than `norm`, in equal shares: the optimizer
        adds up what it is given.

        Keras's own clipping comes before its sum: each replica would clip its share by itself.
        """
        context = tf.distribute.get_replica_context()
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        clipped, _ = tf.clip_by_global_norm(summed, self.optimizer.scale_loss(norm))
        return [gradient / self.replicas for gradient in clipped]

    def measure(self, pixels: Pixels, targets: Targets) -> Float64:
        """(2,): the sum of the losses of pictures (n, height, width, channels), and how many
        classes are right.
        """
        total = np.zeros(2)
        size = _EVALUATION_BATCH * len(self.served)
        for first in range(0, len(pixels), size):
            rows = np.arange(first, max(min(first + size, len(pixels)), first + len(self.served)))
            counted = rows < len(pixels)
            # of no rows at all, TensorFlow makes errors now and then
            filled = np.where(counted, rows, first)
            parts = [
                np.array_split(array, len(self.served))
                for array in (pixels[filled], targets[filled], counted)
            ]
            for found in self._strategy.experimental_local_results(
                self._measure_function(*map(self._spread, parts))
            ):
                total += found.numpy()
        return total

    def _measure_on_replicas(self, pixels: Any, targets: Any, counted: Any) -> Any:
        return self._strategy.run(self._measure_step, args=(pixels, targets, counted))

    def _measure_step(self, pixels: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        outputs = self.model(pixels, training=False)
        loss = tf.reduce_sum(
            tf.boolean_mask(tf.cast(losses(self._task, targets, outputs), tf.float64), counted)
        )
        if self._task != "class":
            return tf.stack([loss, tf.zeros_like(loss)])
        is_right = (tf.argmax(outputs, axis=1, output_type=tf.int32) == targets) & counted
        return tf.stack([loss, tf.reduce_sum(tf.cast(is_right, tf.float64))])

    def total(self, values: Float64) -> Float64:
        """The sum of every process's values (n,)."""
        if self.workers == 1:
            return values
        shares = [np.asarray(values, np.float64), *[np.zeros(len(values))] * (len(self.served) - 1)]
        summed: Float64 = self._sum_function(self._spread(shares)).numpy()
        return summed

    def _sum_over_replicas(self, shares: Any) -> tf.Tensor:
        return self._strategy.reduce(
            tf.distribute.ReduceOp.SUM, self._strategy.run(tf.identity, args=(shares,)), axis=None
        )

    def variables(self) -> list[Any]:
        """Of the model, then of the optimizer."""
        return [*self.model.variables, *self.optimizer.variables]

    def values(self) -> list[Array]:
        """The arrays in `variables`."""
        return [variable.numpy() for variable in self.variables()]

    def model_values(self) -> list[Array]:
        """The arrays in the model's variables."""
        return [variable.numpy() for variable in self.model.variables]

    def assign(self, values: Iterable[Array]) -> None:
        """Put `values` into all variables, in their order."""
        _assign(self.variables(), values)

    def assign_model(self, values: Iterable[Array]) -> None:
        """Put `values` into the model's variables, in their order."""
        _assign(self.model.variables, values)


def _assign(variables: Iterable[Any], values: Iterable[Array]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _counted(steps: Steps, figures: tf.Tensor, total: float) -> Steps:
    """With one step more, whose loss and votes are known by now. Raises NotFiniteError."""
    loss, votes = figures.numpy().tolist()
    if not np.isfinite(loss):
        raise NotFiniteError(loss, steps.taken)
    return Steps(
        steps.taken + 1,
        steps.loss_sum + loss * total,
        steps.weight_sum + total,
        steps.stopped or votes > 0,
    )
