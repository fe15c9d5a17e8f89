"""A trained network as a file that LiteRT runs on phones and in web services: uint8 pictures in,
normalisation inside.

Keras's own export writes it, by TensorFlow's converter, which needs no other package. Of Keras's
quantisation there are no convolutions; so int8 is the converter's, with the ranges of what passes
through the network when it sees some pictures (Jacob et al. 2018, section 3).
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emberline.images.pixels import Pixels

_BUILTIN = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}  # none that needs TensorFlow


def converted(model: keras.Model, form: str, pictures: Pixels) -> bytes:
    """A network of float32 in a form: `float32`, `float16` (its weights), or `int8`, from uint8 to
    uint8 in whole numbers, whose ranges are those of pictures (n, height, width, channels).
    """
    if form == "float32":
        return _exported(model, target_spec=_BUILTIN)
    if form == "float16":
        few = _BUILTIN | {"supported_types": [tf.float16]}
        return _exported(model, target_spec=few, optimizations=[tf.lite.Optimize.DEFAULT])
    return _exported(
        _of_numbers(model),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: _one_by_one(pictures),
        inference_input_type=tf.uint8,
        inference_output_type=tf.uint8,
    )


def _exported(model: keras.Model, **settings: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        model.export(path, format="litert", verbose=False, **settings)
        return path.read_bytes()


def _of_numbers(model: keras.Model) -> keras.Model:
    """The network behind an input of float32: what turns uint8 to float32 is no whole number."""
    scaled = model.get_layer("scaled")
    pictures = keras.Input(model.input_shape[1:], dtype="float32", name="pictures")
    return keras.Model(pictures, keras.Model(scaled.output, model.output)(scaled(pictures)))


def _one_by_one(pictures: Pixels) -> Iterator[list[np.ndarray]]:
    """Batches of one picture. The first has a black and a white pixel, so that the input's range is
    0..255, and a pixel is the whole number that it is.
    """
    for number, picture in enumerate(pictures):
        seen = picture[None].astype(np.float32)
        if number == 0:
            seen[0, 0, 0], seen[0, -1, -1] = 0, 255
        yield [seen]
