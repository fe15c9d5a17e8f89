"""Encoded pictures to pixels as workers decode them, called here with files made by hand."""

import io
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from emberline.cleaning import media
from emberline.cleaning.media import Decoder
from emberline.images.decode import Shape, decode

RNG = np.random.default_rng(5)
PICTURES = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
SHAPE = Shape(32, 32, 3, "stretch", 1_000_000)

Row = dict[str, Any]


def decoder(shape: Shape = SHAPE) -> Decoder:
    return Decoder(partial(decode, shape=shape), shape.size, "picture")


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def file(number: int, content: bytes | None) -> Row:
    return {
        "source_file": f"{number}.png",
        "position": number,
        "item_id": f"i{number}",
        "label": "cat",
        "split": "test",
        "group": None,
        "at": 0.5,
        "content": content,
    }


def decoded(files: Iterable[Row], shape: Shape = SHAPE) -> list[Row]:
    """What becomes of files, but for the sums."""
    batch = pa.RecordBatch.from_pylist(list(files), schema=media.ENCODED)
    found = pa.Table.from_batches(
        media.decode_encoded([batch.slice(0, 1), batch.slice(1)], decoder(shape)), media.DECODED
    )
    return found.drop_columns(["totals", "squares"]).to_pylist()


def test_files_become_pixels_and_keep_what_is_known_of_them() -> None:
    rows = decoded(file(number, png(picture)) for number, picture in enumerate(PICTURES))
    for number, (row, picture) in enumerate(zip(rows, PICTURES, strict=True)):
        assert row == {
            "source_file": f"{number}.png",
            "position": number,
            "item_id": f"i{number}",
            "label": "cat",
            "split": "test",
            "group": None,
            "at": 0.5,
            "bytes": len(png(picture)),
            "pixels": picture.tobytes(),
            "reason": None,
        }


def test_damage_becomes_a_reason_beside_pictures_that_are_whole() -> None:
    whole = png(PICTURES[0])
    damaged = [
        None,
        b"",
        b"not a picture",
        whole[:-40],
        whole[:20],
        whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
    ]
    rows = decoded(file(number, content) for number, content in enumerate([whole, *damaged, whole]))
    assert [row["position"] for row in rows] == list(range(8))
    assert [row["pixels"] == PICTURES[0].tobytes() for row in rows] == [True, *[False] * 6, True]
    for row, content in zip(rows[1:-1], damaged, strict=True):
        assert row["pixels"] is None
        assert row["reason"]
        assert row["bytes"] == len(content or b"")
    assert rows[1]["reason"] == "no picture"


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 1)])
def test_extreme_pictures_have_pixels_of_the_size_asked_for(
    size: tuple[int, int], fit: Any
) -> None:
    content = png(np.full((*size, 3), 7, np.uint8))
    (row,) = decoded([file(0, content)], Shape(8, 9, 3, fit, 1_000_000))
    assert row["reason"] is None
    assert len(row["pixels"]) == 8 * 9 * 3


def test_batches_of_pixels_are_bounded_in_bytes() -> None:
    dot = pa.RecordBatch.from_pylist(
        [file(number, png(PICTURES[0])) for number in range(20)], schema=media.ENCODED
    )
    batches = list(media.decode_encoded([dot], decoder(Shape(1024, 1024, 3, "stretch", 1_000_000))))
    assert sum(batch.num_rows for batch in batches) == 20
    assert max(batch["pixels"].nbytes for batch in batches) < 20 << 20


def test_batches_without_pixels_are_bounded_in_rows() -> None:
    batch = pa.RecordBatch.from_pylist(
        [file(number, None) for number in range(5000)], schema=media.ENCODED
    )
    batches = list(media.decode_encoded([batch] * 5, decoder()))
    assert sum(batch.num_rows for batch in batches) == 25_000
    assert max(batch.num_rows for batch in batches) <= 10_000


def test_no_files_make_no_batches() -> None:
    assert list(media.decode_encoded([], decoder())) == []


def test_files_are_read_one_by_one_as_they_are_decoded() -> None:
    rows = [file(number, None) | {"path": f"{number}.png"} for number in range(20)]
    batch = pa.RecordBatch.from_pylist(
        [{name: row[name] for name in media.FILES.names} for row in rows], schema=media.FILES
    )
    large = Shape(1024, 1024, 3, "stretch", 1_000_000)
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return png(PICTURES[0])

    batches = media.decode_files([batch], decoder(large), read)
    assert asked == []
    assert next(batches)["item_id"].to_pylist() == [f"i{number}" for number in range(5)]
    assert asked == [f"{number}.png" for number in range(5)]
    assert sum(batch.num_rows for batch in batches) == 15


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_has_the_sums_of_its_channels(channels: int) -> None:
    pictures = PICTURES if channels == 3 else PICTURES[..., 0]
    rows = [file(number, png(picture)) for number, picture in enumerate(pictures)] + [file(9, b"")]
    (batch,) = media.decode_encoded(
        [pa.RecordBatch.from_pylist(rows, schema=media.ENCODED)],
        decoder(Shape(32, 32, channels, "stretch", 9999)),
    )
    levels = pictures.reshape(4, -1, channels).astype(int)
    assert batch["totals"].to_pylist()[:4] == levels.sum(axis=1).tolist()
    assert batch["squares"].to_pylist()[:4] == (levels**2).sum(axis=1).tolist()
