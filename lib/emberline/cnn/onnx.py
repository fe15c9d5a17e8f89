"""A trained network as a file for ONNX's runtimes: uint8 pictures in, normalisation inside.

Keras's own export writes it, by tf2onnx (extra `onnx`).
"""

import tempfile
import warnings
from pathlib import Path

import keras

_OPSET = 17  # what runtimes since 2022 read


def converted(model: keras.Model) -> bytes:
    """A network of float32; its input is `pictures`, (n, height, width, channels)."""
    pictures = keras.InputSpec(dtype="uint8", shape=model.input_shape)
    pictures.name = "pictures"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for what it once had
        path = Path(folder) / "model.onnx"
        model.export(
            path, format="onnx", verbose=False, input_signature=[pictures], opset_version=_OPSET
        )
        return path.read_bytes()
