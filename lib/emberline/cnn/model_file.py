"""The file that a trained network is kept in, and the network as others compute it."""

import tempfile
from pathlib import Path

import keras

from emberline.datasets.manifest import Dataset

MODEL_FILE = "model.keras"


def content_of(model: keras.Model) -> bytes:
    """The model as a file's bytes; Keras itself writes only to this machine's files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        model.save(path)
        return path.read_bytes()


def load_model(cnn: Dataset) -> keras.Model:
    """The trained model; loading runs no code from the file."""
    content = next(path for path in cnn.paths if path.name == MODEL_FILE).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def in_float32(model: keras.Model) -> keras.Model:
    """The same layers and weights, computing in float32: other runtimes have no bfloat16."""
    if not any(layer.compute_dtype in ("bfloat16", "float16") for layer in model.layers):
        return model
    exact = keras.models.clone_model(model, clone_function=_exact)
    exact.set_weights(model.get_weights())
    return exact


def _exact(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.__class__.from_config(layer.get_config() | {"dtype": "float32"})
