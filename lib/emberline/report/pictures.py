"""Items' pictures and sounds as `data:` URIs, from the datasets `images` and `sounds`."""

import base64
import io
from collections.abc import Collection

import numpy as np
from PIL import Image

from emberline.datasets.facts import Pictures
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import rows_where
from emberline.numeric.arrays import UInt8

# pixels on the longer side; a larger picture is made smaller, or the page would weigh megabytes
LARGEST = 96


def pictures_of(images: Dataset, items: Collection[int]) -> dict[int, str]:
    """The pictures of those items that have one, as PNG, by item."""
    shape = images.manifest.facts(Pictures).shape
    rows = rows_where(images, "item", items, ["pixels"]).to_pylist()
    found = ((row["item"], np.frombuffer(row["pixels"], np.uint8)) for row in rows)
    return {item: drawn(pixels.reshape(shape)) for item, pixels in found}


def clips_of(sounds: Dataset, items: Collection[int]) -> dict[int, str]:
    """What can be played of those items' sounds, as WAV, by item."""
    rows = rows_where(sounds, "item", items, ["clip"]).to_pylist()
    return {row["item"]: _data_uri("audio/wav", row["clip"]) for row in rows if row["clip"]}


def drawn(pixels: UInt8) -> str:
    """Pixels (height, width, channels) as PNG in a `data:` URI."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
