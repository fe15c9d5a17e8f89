"""Files of the classic collections to pictures, made by hand."""

import gzip
import pickle
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberline.cleaning import collections
from emberline.cleaning.media import DECODED
from emberline.images.decode import Shape

RNG = np.random.default_rng(5)
PICTURES = RNG.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (3, 6, 5), dtype=np.uint8)
SHAPE = Shape(32, 32, 3, "stretch", 1_000_000)
GREY_SHAPE = Shape(6, 5, 1, "stretch", 1_000_000)

Row = dict[str, Any]


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
        row |= {"begin": 0.25, "end": 0.5}
        row["labels"] = None if file["labels"] is None else f"{number}-labels"
        rows += [row | {"piece": piece} for piece in range(file["pieces"])]
    batch = pa.RecordBatch.from_pylist(rows, schema=collections.CONTAINERS)
    read = {
        path: memoryview(content) for path, content in contents.items() if content is not None
    }.__getitem__
    return pa.Table.from_batches(
        collections.explode_containers([batch], shape, names, read), DECODED
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
    # of the quarter that is the file's
    assert [row["at"] for row in rows] == [0.25, 0.3125, 0.375, 0.4375]
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
