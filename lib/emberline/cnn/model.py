"""The networks: uint8 pictures in, one output per class or target component out, with a layer named
`embedding` before the last.

Both take pixels as they are in the shards; the first layer turns each channel to mean 0 and
standard deviation 1.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from emberline.errors import ConfigError
from emberline.sections.cnn import CnnConfig

EMBEDDING = "embedding"
# .99 needs more steps than a small epoch has before its statistics mean anything
_BATCH_NORM_MOMENTUM = 0.9
_CLASSIC = 32, 64  # channels, as those below
_STEM, _WIDTHS = 16, (24, 48, 96)
_SMALLEST = {"cifar": 18, "resnet": 8}  # pixels


def build(
    config: CnnConfig,
    shape: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    outputs: int,
) -> keras.Model:
    """A network for pictures of `shape` (height, width, channels), its weights drawn with the
    config's seed.

    `mean` and `std` of each channel are shares of full brightness. Raises ConfigError for pictures
    that are too small for it.
    """
    if min(shape[:2]) < _SMALLEST[config.model]:
        raise ConfigError(
            f'the network "{config.model}" needs pictures of at least {_SMALLEST[config.model]}'
            f" pixels on a side, found {shape[0]} x {shape[1]}: raise images.height and"
            " images.width, or of sounds bands and seconds"
        )
    keras.utils.set_random_seed(config.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return _build(config, shape, mean, std, outputs)
    finally:
        keras.config.set_dtype_policy(before)


def _build(
    config: CnnConfig,
    shape: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    outputs: int,
) -> keras.Model:
    pictures = keras.Input(shape, dtype="uint8", name="pictures")
    spread = [max(deviation, 1e-3) for deviation in std]
    scaled = keras.layers.Rescaling(
        [1 / (255 * deviation) for deviation in spread],
        [-m / s for m, s in zip(mean, spread, strict=True)],
        name="scaled",
    )(pictures)
    embedding = (
        _classic(scaled, config.width)
        if config.model == "cifar"
        else _residual(scaled, config.width, config.team.all_replicas > 1)
    )
    return keras.Model(
        pictures,
        keras.layers.Dense(outputs, name="outputs", dtype="float32")(embedding),
        name=config.model,
    )


def _classic(x: tf.Tensor, width: float) -> tf.Tensor:
    """Conv32-pool-Conv64-pool-Conv64-Flatten-Dense64, the net of TensorFlow's CIFAR-10 tutorial."""
    small, large = (_channels(count, width) for count in _CLASSIC)
    x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(small, 3, activation="relu")(x))
    x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(large, 3, activation="relu")(x))
    x = keras.layers.Flatten()(keras.layers.Conv2D(large, 3, activation="relu")(x))
    return keras.layers.Dense(large, activation="relu", name=EMBEDDING)(x)


def _channels(count: int, width: float) -> int:
    """So many times the width, in fours: processors compute as many at once."""
    return count if width == 1 else max(4, round(count * width / 4) * 4)


def _residual(x: tf.Tensor, width: float, synchronized: bool) -> tf.Tensor:
    """A small residual net with pre-activation (He et al. 2016, Identity Mappings): a stem, three
    blocks that halve the sides.

    Wide where the picture is small already: at full size a processor without a GPU spends its time
    on memory, not on products.
    """
    x = _convolution(x, _channels(_STEM, width))
    for count in _WIDTHS:
        x = _block(x, _channels(count, width), 2, synchronized)
    x = _normalised(x, synchronized)
    return keras.layers.GlobalAveragePooling2D(name=EMBEDDING)(x)


def _block(x: tf.Tensor, width: int, stride: int, synchronized: bool) -> tf.Tensor:
    before = _normalised(x, synchronized)
    inner = _normalised(_convolution(before, width, stride), synchronized)
    return keras.layers.Add()(
        [_convolution(before, width, stride, size=1), _convolution(inner, width)]
    )


def _convolution(x: tf.Tensor, width: int, stride: int = 1, size: int = 3) -> tf.Tensor:
    """Without a bias: batch normalisation follows."""
    layer = keras.layers.Conv2D(
        width, size, stride, "same", use_bias=False, kernel_initializer="he_normal"
    )
    return layer(x)


def _normalised(x: tf.Tensor, synchronized: bool) -> tf.Tensor:
    layer = keras.layers.BatchNormalization(
        momentum=_BATCH_NORM_MOMENTUM, synchronized=synchronized
    )
    return keras.layers.ReLU()(layer(x))


def with_frozen_layer(model: keras.Model, kernel: tf.Tensor, bias: tf.Tensor) -> keras.Model:
    """The model followed by the affine map `outputs @ kernel + bias`, which no training changes."""
    layer = keras.layers.Dense(kernel.shape[1], name="factors", trainable=False, dtype="float32")
    extended = keras.Model(model.input, layer(model.output), name=model.name)
    layer.set_weights([kernel, bias])
    return extended


def with_embedding(model: keras.Model) -> keras.Model:
    """The model with two outputs: its own, and its embedding."""
    return keras.Model(model.input, [model.output, model.get_layer(EMBEDDING).output])
