"""Items' pictures and sounds as `data:` URIs, from the datasets `images` and `sounds`."""

import base64
import io
from collections.abc import Collection

from PIL import Image

from emberline.datasets.facts import Pictures
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import rows_where

# pixels on the longer side; a larger picture is made smaller, or the page would weigh megabytes
LARGEST = 96


def pictures_of(images: Dataset, items: Collection[int]) -> dict[int, str]:
    """The pictures of those items that have one, as PNG, by item."""
    shape = images.manifest.facts(Pictures).shape
    rows = rows_where(images, "item", items, ["pixels"]).to_pylist()
    return {row["item"]: _data_uri("image/png", _png(row["pixels"], shape)) for row in rows}


def clips_of(sounds: Dataset, items: Collection[int]) -> dict[int, str]:
    """What can be played of those items' sounds, as WAV, by item."""
    rows = rows_where(sounds, "item", items, ["clip"]).to_pylist()
    return {row["item"]: _data_uri("audio/wav", row["clip"]) for row in rows if row["clip"]}


def _png(pixels: bytes, shape: tuple[int, int, int]) -> bytes:
    """Pixels, uint8 of (height, width, channels), as PNG."""
    height, width, channels = shape
    picture = Image.frombytes("L" if channels == 1 else "RGB", (width, height), pixels)
    picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
