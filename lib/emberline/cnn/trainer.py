"""One training step after the other: the inner loop, the same for one replica and for several.

The loss of a global batch is the sum over its rows of weight times loss, divided by the sum of its weights; each replica computes
its rows' share, and the optimizer adds up the gradients.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from emberline.cnn.reader import Batch
from emberline.config import CnnConfig
from emberline.errors import TrainingError

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
_EVALUATION_BATCH = 512


def losses(task: str, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """(n,): the cross entropy of classes (n,) and logits (n, classes), or the sum over components of the squared error."""
    if task == "class":
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
    return tf.reduce_sum(tf.math.squared_difference(targets, outputs), axis=1)


def make_optimizer(config: CnnConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """As configured; weight decay is decoupled (Loshchilov and Hutter 2019) and spares biases and normalisation."""
    rate = _learning_rate(config, config.epochs * steps_per_epoch)
    decay = config.weight_decay or None
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=config.momentum, weight_decay=decay)
    elif config.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class _Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """`rate` times the schedule's factor, which rises from 0 over the warm-up and ends at 0 (cosine) or at 1/100 (step)."""

    def __init__(self, config: CnnConfig, steps: int) -> None:
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


def _learning_rate(config: CnnConfig, steps: int) -> float | _Rate:
    if config.schedule == "constant" and not config.warmup_steps:
        return config.learning_rate
    return _Rate(config, steps)


class Trainer:
    """A model and its optimizer under a strategy. Make the model in the strategy's scope."""

    def __init__(
        self, strategy: tf.distribute.Strategy, model: keras.Model, optimizer: keras.optimizers.Optimizer, task: str
    ) -> None:
        self._strategy = strategy
        self._task = task
        self.model = model
        self.optimizer = optimizer
        with strategy.scope():
            optimizer.build(model.trainable_variables)
        self._step_function = tf.function(self._global_step)
        self._outputs = tf.function(lambda pixels: model(pixels, training=False), reduce_retracing=True)

    @property
    def replicas(self) -> int:
        return int(self._strategy.num_replicas_in_sync)

    def train(self, batches: Iterable[list[Batch]], num_steps: int) -> tuple[float, float]:
        """Take up to `num_steps` steps; returns the sums over their rows of the loss and of the weights.

        Raises TrainingError where the loss is not finite.
        """
        loss_sum = weight_sum = 0.0
        for number, parts in zip(range(num_steps), batches, strict=False):
            loss = float(self._step_function(*self._on_replicas(parts)))
            if not np.isfinite(loss):
                raise TrainingError(f"the loss is {loss} after {number + 1} more steps; lower cnn.learning_rate")
            loss_sum += loss * parts[0].total
            weight_sum += parts[0].total
        return loss_sum, weight_sum

    def _on_replicas(self, parts: list[Batch]) -> list[Any]:
        """Pixels, targets, weights and the global sum of the weights, each replica its own."""
        columns: list[list[Any]] = [
            [part.pixels for part in parts],
            [part.targets for part in parts],
            [part.weights for part in parts],
            [np.float32(part.total) for part in parts],
        ]
        if self.replicas == 1:
            return [tf.convert_to_tensor(column[0]) for column in columns]
        return [self._spread(column) for column in columns]

    def _spread(self, values: list[Any]) -> Any:
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.convert_to_tensor(values[context.replica_id_in_sync_group])
        )

    def _global_step(self, pixels: Any, targets: Any, weights: Any, total: Any) -> tf.Tensor:
        shares = self._strategy.run(self._replica_step, args=(pixels, targets, weights, total))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    def _replica_step(self, pixels: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = self.model(pixels, training=True)
            loss = tf.reduce_sum(weights * losses(self._task, targets, outputs)) / total
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        return loss

    def outputs(self, pixels: npt.NDArray[np.uint8]) -> Float32:
        """(n, outputs) of pictures (n, height, width, channels), by the weights as they are."""
        pieces = [
            self._outputs(tf.convert_to_tensor(pixels[first : first + _EVALUATION_BATCH])).numpy()
            for first in range(0, len(pixels), _EVALUATION_BATCH)
        ]
        return np.concatenate(pieces)

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
