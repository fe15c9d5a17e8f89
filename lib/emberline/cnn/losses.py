"""What training makes small: how far a network's outputs are from what they should be, and from
what a teacher says of the same pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


def losses(task: str, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """(n,): the cross entropy of classes (n,) and logits (n, classes), or the sum over
    components of the squared error.
    """
    if task == "class":
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
    return tf.reduce_sum(tf.math.squared_difference(targets, outputs), axis=1)


@dataclass(frozen=True)
class Teaching:
    """A trained network's `answers` to pictures, as outputs (n, outputs) of the one that learns
    them; they have the share `weight` of the loss.

    Hinton, Vinyals and Dean (2015), section 2.1: of classes, the cross entropy of both networks'
    probabilities at a temperature T, times T^2, so that gradients keep their size. Less the entropy
    of the teacher's own, which no weight changes, that is 0 where both agree.
    """

    answers: Callable[[tf.Tensor], tf.Tensor]
    weight: float
    temperature: float

    def losses(
        self, task: str, targets: tf.Tensor, told: tf.Tensor, outputs: tf.Tensor
    ) -> tf.Tensor:
        """(n,): of targets, and of what the teacher has told (n, outputs)."""
        by_teacher = (
            self._divergence(told, outputs) if task == "class" else losses(task, told, outputs)
        )
        return (1 - self.weight) * losses(task, targets, outputs) + self.weight * by_teacher

    def _divergence(self, told: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        theirs = tf.nn.log_softmax(told / self.temperature)
        ours = tf.nn.log_softmax(outputs / self.temperature)
        return self.temperature**2 * tf.reduce_sum(tf.exp(theirs) * (theirs - ours), axis=1)
