"""What Spark's Python workers run on pictures, called here with files made by hand."""

import gzip
import io
import pickle
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from emberline.cf.plain import SEEN
from emberline.images import tasks
from emberline.images.decode import Shape

RNG = np.random.default_rng(5)
PICTURES = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (3, 6, 5), dtype=np.uint8)
SHAPE = Shape(32, 32, 3, "stretch", 1_000_000)
GREY_SHAPE = Shape(6, 5, 1, "stretch", 1_000_000)

Row = dict[str, Any]


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
        "content": content,
    }


def decoded(files: Iterable[Row], shape: Shape = SHAPE) -> list[Row]:
    """What becomes of files, but for the sums."""
    batch = pa.RecordBatch.from_pylist(list(files), schema=tasks.ENCODED)
    found = pa.Table.from_batches(
        tasks.decode_encoded([batch.slice(0, 1), batch.slice(1)], shape), tasks.DECODED
    )
    return found.drop_columns(["totals", "squares"]).to_pylist()


def container(kind: str, content: bytes, labels: bytes | None = None, pieces: int = 1) -> Row:
    """A file that is cut into pieces, and its contents."""
    return {
        "source_file": "pictures",
        "kind": kind,
        "content": content,
        "labels": labels,
        "pieces": pieces,
    }


def exploded(*files: Row, shape: Shape = SHAPE, names: tuple[str, ...] = ()) -> list[Row]:
    contents: dict[str, bytes] = {}
    rows: list[Row] = []
    for number, file in enumerate(files):
        contents |= {f"{number}": file["content"], f"{number}-labels": file["labels"]}
        row = file | {"prefix": "train-1", "split": "train", "path": f"{number}"}
        row["labels"] = None if file["labels"] is None else f"{number}-labels"
        rows += [row | {"piece": piece} for piece in range(file["pieces"])]
    batch = pa.RecordBatch.from_pylist(rows, schema=tasks.CONTAINERS)
    read = {
        path: memoryview(content) for path, content in contents.items() if content is not None
    }.__getitem__
    return pa.Table.from_batches(
        tasks.explode_containers([batch], shape, names, read), tasks.DECODED
    ).to_pylist()


def planes(picture: np.ndarray) -> bytes:
    return b"".join(picture[:, :, colour].tobytes() for colour in range(3))


def cifar_binary(labels: list[int]) -> bytes:
    return b"".join(
        bytes([label]) + planes(picture) for label, picture in zip(labels, PICTURES, strict=True)
    )


def cifar_pickle(labels: list[int]) -> bytes:
    data = np.array([list(planes(picture)) for picture in PICTURES], np.uint8)
    return pickle.dumps({b"data": data, b"labels": labels}, protocol=2)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


# --------------------------------------------------------------------------------------------------
# files


def test_files_become_pixels_and_keep_what_is_known_of_them() -> None:
    rows = decoded(file(number, png(picture)) for number, picture in enumerate(PICTURES))
    for number, (row, picture) in enumerate(zip(rows, PICTURES, strict=True)):
        assert row == {
            "source_file": f"{number}.png",
            "position": number,
            "item_id": f"i{number}",
            "label": "cat",
            "split": "test",
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
        [file(number, png(PICTURES[0])) for number in range(20)], schema=tasks.ENCODED
    )
    batches = list(tasks.decode_encoded([dot], Shape(1024, 1024, 3, "stretch", 1_000_000)))
    assert sum(batch.num_rows for batch in batches) == 20
    assert max(batch["pixels"].nbytes for batch in batches) < 20 << 20


def test_batches_without_pixels_are_bounded_in_rows() -> None:
    batch = pa.RecordBatch.from_pylist(
        [file(number, None) for number in range(5000)], schema=tasks.ENCODED
    )
    batches = list(tasks.decode_encoded([batch] * 5, SHAPE))
    assert sum(batch.num_rows for batch in batches) == 25_000
    assert max(batch.num_rows for batch in batches) <= 10_000


def test_no_files_make_no_batches() -> None:
    assert list(tasks.decode_encoded([], SHAPE)) == []


def test_files_are_read_one_by_one_as_they_are_decoded() -> None:
    rows = [file(number, None) | {"path": f"{number}.png"} for number in range(20)]
    batch = pa.RecordBatch.from_pylist(
        [{name: row[name] for name in tasks.FILES.names} for row in rows], schema=tasks.FILES
    )
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return png(PICTURES[0])

    batches = tasks.decode_files([batch], Shape(1024, 1024, 3, "stretch", 1_000_000), read)
    assert asked == []
    assert next(batches)["item_id"].to_pylist() == [f"i{number}" for number in range(5)]
    assert asked == [f"{number}.png" for number in range(5)]
    assert sum(batch.num_rows for batch in batches) == 15


# --------------------------------------------------------------------------------------------------
# collections


@pytest.mark.parametrize(
    ("kind", "write"), [("cifar10-binary", cifar_binary), ("cifar10-pickle", cifar_pickle)]
)
def test_cifar_pictures_are_numbered_and_named(kind: str, write: Any) -> None:
    rows = exploded(container(kind, write([1, 0, 9, 2])), names=("plane", "car", "bird"))
    assert [row["item_id"] for row in rows] == [
        "train-1-00000",
        "train-1-00001",
        "train-1-00002",
        "train-1-00003",
    ]
    assert [row["label"] for row in rows] == ["car", "plane", "9", "bird"]
    assert [row["position"] for row in rows] == [0, 1, 2, 3]
    assert [row["pixels"] for row in rows] == [picture.tobytes() for picture in PICTURES]
    assert {(row["source_file"], row["split"], row["bytes"], row["reason"]) for row in rows} == {
        ("pictures", "train", 3072, None)
    }


@pytest.mark.parametrize("pieces", [2, 3, 4, 9])
def test_pieces_of_a_file_are_the_whole_of_it(pieces: int) -> None:
    content, names = cifar_binary([1, 0, 9, 2]), ("plane", "car", "bird")
    whole = exploded(container("cifar10-binary", content), names=names)
    assert exploded(container("cifar10-binary", content, pieces=pieces), names=names) == whole
    (refused,) = exploded(container("cifar10-binary", content[:-1], pieces=pieces))
    assert "multiple of 3,073 bytes" in refused["reason"]
    labels = idx(np.array([2, 0, 1], np.uint8))
    found = exploded(container("idx", gzip.compress(idx(GREY)), labels, pieces), shape=GREY_SHAPE)
    assert [row["pixels"] for row in found] == [picture.tobytes() for picture in GREY]


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_idx_pictures_have_the_labels_of_the_file_beside_them(squeeze: Any) -> None:
    pair = container("idx", squeeze(idx(GREY)), squeeze(idx(np.array([2, 0, 1], np.uint8))))
    rows = exploded(pair, shape=GREY_SHAPE, names=("shirt", "bag"))
    assert [row["label"] for row in rows] == ["2", "shirt", "bag"]
    assert [row["pixels"] for row in rows] == [picture.tobytes() for picture in GREY]


def test_grey_pictures_are_fitted_to_colours() -> None:
    rows = exploded(
        container("idx", idx(GREY), idx(np.zeros(3, np.uint8))),
        shape=Shape(6, 5, 3, "stretch", 100),
    )
    assert [row["pixels"] for row in rows] == [
        np.repeat(picture[:, :, None], 3, axis=2).tobytes() for picture in GREY
    ]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (container("cifar10-binary", b"abc"), "multiple of 3,073 bytes"),
        (container("cifar10-binary", cifar_binary([1, 2, 3, 10])), "found 10 in record 3"),
        (container("cifar10-binary", b""), "found 0"),
        (container("cifar10-pickle", b"abc"), "CIFAR-10 pickle"),
        (container("cifar10-pickle", cifar_pickle([1, 2, 3, 4])[:-20]), "CIFAR-10 pickle"),
        (container("cifar10-pickle", cifar_pickle([1, 2])), "2 labels"),
        (container("idx", idx(GREY)), "labels is missing"),
        (
            container("idx", idx(GREY), idx(np.zeros(4, np.uint8))),
            r"shape (3, 6, 5) do not go with labels of shape (4,)",
        ),
        (container("idx", idx(GREY), idx(GREY)), "do not go with"),
        (container("idx", idx(GREY[0]), idx(np.zeros(6, np.uint8))), "do not go with"),
        (container("idx", idx(GREY), b""), "IDX"),
        (container("idx", idx(GREY)[:-1], idx(np.zeros(3, np.uint8))), "IDX"),
        (container("idx", gzip.compress(idx(GREY))[:-12], idx(np.zeros(3, np.uint8))), "gzip"),
        (
            container("idx", idx(np.zeros((3, 0, 5), np.uint8)), idx(np.zeros(3, np.uint8))),
            "no pixels",
        ),
        (
            container("idx", idx(np.zeros((3, 5, 0), np.uint8)), idx(np.zeros(3, np.uint8))),
            "no pixels",
        ),
    ],
)
def test_a_file_that_is_not_of_its_format_is_one_row_with_the_reason(
    damaged: Row, reason: str
) -> None:
    bad, *good = exploded(damaged, container("cifar10-binary", cifar_binary([1, 2, 3, 4])))
    assert reason in bad["reason"]
    assert (bad["pixels"], bad["bytes"], bad["source_file"]) == (
        None,
        len(damaged["content"]),
        "pictures",
    )
    assert len(good) == 4


# --------------------------------------------------------------------------------------------------
# numbers


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_has_the_sums_of_its_channels(channels: int) -> None:
    pictures = PICTURES if channels == 3 else PICTURES[..., 0]
    rows = [file(number, png(picture)) for number, picture in enumerate(pictures)] + [file(9, b"")]
    (batch,) = tasks.decode_encoded(
        [pa.RecordBatch.from_pylist(rows, schema=tasks.ENCODED)],
        Shape(32, 32, channels, "stretch", 9999),
    )
    levels = pictures.reshape(4, -1, channels).astype(int)
    assert batch["totals"].to_pylist()[:4] == levels.sum(axis=1).tolist()
    assert batch["squares"].to_pylist()[:4] == (levels**2).sum(axis=1).tolist()


def test_plain_features_are_averages_and_directions() -> None:
    pictures = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    pictures[4] = 77
    columns = [
        pa.array(range(5), pa.int32()),
        ["train"] * 5,
        [picture.tobytes() for picture in pictures],
    ]
    batch = pa.record_batch(columns, names=["item", "split", "pixels"])
    found = pa.Table.from_batches(
        tasks.plain_features([batch.slice(0, 2), batch.slice(2)], (32, 32, 3))
    )
    assert found.schema == pa.schema([("item", pa.int32()), *SEEN])
    assert found["item"].to_pylist() == list(range(5))
    corners = [pictures[:, top::2, left::2].astype(float) for top in (0, 1) for left in (0, 1)]
    averages = (sum(corners) / 4 / 255).reshape(5, -1)
    np.testing.assert_allclose(found["pixels"].to_pylist(), averages, rtol=1e-5)
    direction = np.array(found["pixel_direction"].to_pylist())
    np.testing.assert_allclose(
        (direction @ direction.T)[:4, :4], np.corrcoef(averages[:4]), atol=1e-5
    )
    assert not direction[4].any()
    shares = np.zeros((5, 64))
    for row, picture in enumerate(pictures):
        for (red, green, blue), times in Counter(
            map(tuple, (picture.reshape(-1, 3) // 64).tolist())
        ).items():
            shares[row, red * 16 + green * 4 + blue] = times / 1024
    colour = np.array(found["colour_direction"].to_pylist())
    np.testing.assert_allclose(colour @ colour.T, np.corrcoef(shares), atol=1e-5)
    roots = np.array(found["colours"].to_pylist())
    np.testing.assert_allclose(roots @ roots.T, np.sqrt(shares) @ np.sqrt(shares).T, atol=1e-5)
