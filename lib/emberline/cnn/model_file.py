"""The file that a trained network is kept in."""

import tempfile
from pathlib import Path

import keras

MODEL_FILE = "model.keras"


def content_of(model: keras.Model) -> bytes:
    """The model as a file's bytes; Keras itself writes only to this machine's files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        model.save(path)
        return path.read_bytes()
