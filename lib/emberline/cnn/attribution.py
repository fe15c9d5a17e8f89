"""Which pixels of a picture make a network's score what it is: integrated gradients, and Grad-CAM.

A score is a weighted sum of the network's outputs: of a class, its logit; of a user, the predicted
factors times the user's. Both ways are for networks that `model.build` has made.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from emberline.numeric.arrays import Bool, Float32

Pixels = npt.NDArray[np.uint8]

_STEPS, _MOST_STEPS = 32, 4096
_AT_ONCE = 256  # pictures that the network sees together
_INCOMPLETE = 0.005  # of what there is to explain
_NEXT_TO_NOTHING = 0.01  # of all that pixels add and take away


@dataclass(frozen=True)
class Attributed:
    """What each pixel adds to a score (n, height, width), over its channels; the `scores` (n,), and
    those of what the pictures were compared with (n,).
    """

    pixels: Float32
    scores: Float32
    without: Float32

    @property
    def gaps(self) -> Float32:
        """How far sums over pixels are from what they explain (n,), as a share of that."""
        explained = self.scores - self.without
        total = np.abs(self.pixels).sum(axis=(1, 2))
        wrong: Float32 = np.abs(self.pixels.sum(axis=(1, 2)) - explained)
        wrong /= np.maximum(np.abs(explained), _NEXT_TO_NOTHING * total + 1e-12)
        return wrong


def integrated_gradients(model: keras.Model, pixels: Pixels, weights: Float32) -> Attributed:
    """Of pictures (n, height, width, channels), with the weights (n, outputs) of each one's score.

    Sundararajan, Taly and Yan (2017): (x - x') times the mean gradient on the way from x' to x. x'
    is a picture of one colour, which most of x has: its median, so that a background explains
    nothing. As pixels add up to the difference of the scores, the way is cut finer where they do
    not.
    """
    network = _Network.of(model)
    x = network.begin(pixels)
    start = tf.broadcast_to(network.begin(_plain(pixels)), x.shape)
    scores, without = (network.scores(of, weights).numpy() for of in (x, start))
    found = Attributed(np.zeros(pixels.shape[:3], np.float32), scores, without)
    rest, steps = np.arange(len(pixels)), _STEPS
    while len(rest) and steps <= _MOST_STEPS:
        near, far = (tf.gather(each, rest) for each in (start, x))
        found.pixels[rest] = network.mean_slope(near, far, weights[rest], steps)
        rest, steps = np.flatnonzero(found.gaps > _INCOMPLETE), 2 * steps
    return found


def grad_cam(model: keras.Model, pixels: Pixels, weights: Float32) -> Float32:
    """Where a picture speaks for its score: (n, height, width) from 0, in the scale of the score.

    Selvaraju et al. (2017), equations 1 and 2: the last layer that is still a picture, each of its
    channels weighted by its mean gradient, and what is above 0 of their sum.
    """
    network = _Network.of(model)
    with tf.GradientTape() as tape:
        features, outputs = network.parts(network.begin(pixels), training=False)
        score = tf.reduce_sum(outputs * weights)
    slopes = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(slopes * features, axis=3, keepdims=True))
    found: Float32 = tf.image.resize(tf.cast(heat, tf.float32), pixels.shape[1:3])[..., 0].numpy()
    return found


def most_important(pixels: Float32, share: float) -> Bool:
    """The share of each picture's pixels (n, height, width) that matters most, either way."""
    size = np.abs(pixels).reshape(len(pixels), -1)
    count = max(1, round(share * size.shape[1]))
    chosen = np.zeros(size.shape, bool)
    np.put_along_axis(chosen, np.argsort(-size, axis=1, kind="stable")[:, :count], True, axis=1)
    return chosen.reshape(pixels.shape)


def _plain(pixels: Pixels) -> Pixels:
    """(n, 1, 1, channels): each picture's median colour."""
    plain: Pixels = np.median(pixels, axis=(1, 2), keepdims=True).astype(np.uint8)
    return plain


@dataclass(frozen=True)
class _Network:
    """A model cut behind the layer that scales pixels: `scaled` is that, `parts` gives the last
    layer that is a picture, and the outputs.
    """

    scaled: keras.layers.Layer
    parts: keras.Model

    @classmethod
    def of(cls, model: keras.Model) -> "_Network":
        scaled = model.get_layer("scaled")
        pictures = [layer.output for layer in model.layers if len(layer.output.shape) == 4]
        return cls(scaled, keras.Model(scaled.output, [pictures[-1], model.output]))

    def begin(self, pixels: Pixels) -> Any:
        """Pictures, scaled, in float32 whatever the network computes in."""
        return tf.cast(self.scaled(pixels), tf.float32)

    def scores(self, x: Any, weights: Float32) -> Any:
        """(n,) of scaled pictures."""
        return tf.reduce_sum(self.parts(x, training=False)[1] * weights, axis=1)

    def mean_slope(self, start: Any, x: Any, weights: Float32, steps: int) -> Float32:
        """The way from `start` to `x` times the mean slope in the middles of its steps, over
        channels.
        """
        total, at_once = tf.zeros_like(x), max(1, _AT_ONCE // len(weights))
        for first in range(0, steps, at_once):
            shares = (np.arange(first, min(first + at_once, steps), dtype=np.float32) + 0.5) / steps
            at = start + (x - start) * shares[:, None, None, None, None]
            at = tf.reshape(at, (-1, *x.shape[1:]))
            with tf.GradientTape() as tape:
                tape.watch(at)
                score = tf.reduce_sum(self.scores(at, np.tile(weights, (len(shares), 1))))
            slopes = tf.reshape(tape.gradient(score, at), (len(shares), *x.shape))
            total += tf.reduce_sum(slopes, axis=0)
        found: Float32 = tf.reduce_sum((x - start) * total / steps, axis=3).numpy()
        return found
