"""prepare-images: every file of every kind becomes pixels under an id, or a row that says why
not.
"""

import gzip
import io
import os
import pickle
import struct
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError, DataError, EmptyDatasetError, SchemaError
from emberline.pictures.sources import splits_of
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Colour = tuple[int, int, int]
Folder = pytest.TempPathFactory

RNG = np.random.default_rng(1)
SPARK = {"master": "local[2]", "engine": "here"}


class Prepared:
    """What the stage makes of the files at a path."""

    def __init__(self, root: Path, path: Path, **settings: Any) -> None:
        sections = {"images": {"path": str(path)} | settings, "spark": SPARK}
        config = Config.model_validate(sections)
        runner.run(config, root, stages.select(config, "prepare-images"))
        self.info = manifests.load(root, "images").manifest.info
        self.images = {row["item_id"]: row for row in rows_of(root, "images")}
        self.rejected = rows_of(root, "rejected_images")
        assert len(rows_of(root, "images")) == len(self.images)
        assert sorted(row["item"] for row in self.images.values()) == list(range(len(self.images)))

    def pixels(self, item_id: str) -> np.ndarray:
        """(height, width, channels)"""
        shape = [self.info[name] for name in ("height", "width", "channels")]
        return np.frombuffer(self.images[item_id]["pixels"], np.uint8).reshape(shape)

    def reasons(self) -> dict[tuple[str, int], str]:
        return {(row["source_file"], row["position"]): row["reason"] for row in self.rejected}

    def assert_accounts(self, read: int) -> None:
        """As many pictures were read, each kept or rejected, and the reasons are counted."""
        kept, rejected = len(self.images), len(self.rejected)
        assert self.info["accounts"] == {"read": read, "kept": kept, "rejected": rejected}
        assert read == kept + rejected
        assert self.info["reasons"] == Counter(row["reason"] for row in self.rejected)

    def assert_statistics(self) -> None:
        """`mean` and `std` are NumPy's over all pixels of all pictures."""
        pixels = np.stack([self.pixels(item_id) for item_id in self.images]) / 255
        assert self.info["mean"] == pytest.approx(pixels.mean(axis=(0, 1, 2)))
        assert self.info["std"] == pytest.approx(pixels.std(axis=(0, 1, 2)))


def rows_of(root: Path, name: str) -> list[Row]:
    rows: list[Row] = []
    for path in manifests.load(root, name).paths:
        rows += pq.read_table(path).to_pylist()
    return rows


def encoded(colour: Colour, kind: str = "png", side: int = 4) -> bytes:
    """A picture of one colour, encoded."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


# --------------------------------------------------------------------------------------------------
# picture folders


@pytest.fixture(scope="module")
def pngsuite(shared_data: Path, tmp_path_factory: Folder) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("pngsuite"), shared_data / "pngsuite", fit="stretch")


def test_all_of_pngsuite_is_kept_but_the_files_that_are_damaged_on_purpose(
    pngsuite: Prepared, shared_data: Path
) -> None:
    paths = list((shared_data / "pngsuite").iterdir())
    damaged = {path.name for path in paths if path.name.startswith("x")}
    assert (len(paths), len(damaged)) == (175, 14)
    assert {row["source_file"]: row["bytes"] for row in pngsuite.rejected} == {
        path.name: path.stat().st_size for path in paths if path.name in damaged
    }
    assert all(
        row["reason"].startswith("damaged") or row["reason"] == "not a picture"
        for row in pngsuite.rejected
    )
    assert pngsuite.images.keys() == {path.stem for path in paths if path.name not in damaged}
    assert {(row["label"], row["split"]) for row in pngsuite.images.values()} == {(None, None)}
    pngsuite.assert_accounts(175)


def test_pictures_of_the_right_size_have_the_pixels_that_pillow_decodes(
    pngsuite: Prepared, shared_data: Path
) -> None:
    compared = 0
    for path in (shared_data / "pngsuite").glob("[!x]*.png"):
        with Image.open(path) as picture:
            if picture.size == (32, 32):
                np.testing.assert_array_equal(
                    pngsuite.pixels(path.stem), on_white(picture, path), path.name
                )
                compared += 1
    assert compared > 100


def on_white(picture: Image.Image, path: Path) -> np.ndarray:
    """(32, 32, 3): as Pillow decodes it, transparent pixels white; the upper 8 of 16 bits."""
    picture.load()
    is_deep = path.read_bytes()[24] == 16
    key = picture.info.get("transparency")
    if is_deep and picture.mode == "RGB" and key is not None:
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    if is_deep and picture.mode.startswith("I"):
        values = np.asarray(picture)
        opaque = np.full_like(values, 255) if key is None else np.where(values == key, 0, 255)
        picture = Image.fromarray(
            np.dstack([values >> 8, values >> 8, values >> 8, opaque]).astype(np.uint8), "RGBA"
        )
    canvas = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB"))


def test_mean_and_deviation_are_those_of_all_pixels(
    pngsuite: Prepared, flowers: Prepared, clothes: Prepared
) -> None:
    for prepared in (pngsuite, flowers, clothes):
        prepared.assert_statistics()


@pytest.fixture(scope="module")
def flowers(shared_data: Path, tmp_path_factory: Folder) -> Prepared:
    root = tmp_path_factory.mktemp("flowers")
    return Prepared(root, shared_data / "flower-photos", labels="folder", height=64, width=64)


def test_photographs_in_folders_are_labelled_by_their_folder(
    flowers: Prepared, shared_data: Path
) -> None:
    expected = {
        f"{path.parent.name}/{path.name}": path.parent.name
        for path in (shared_data / "flower-photos").glob("*/*.jpg")
    }
    assert {item_id: row["label"] for item_id, row in flowers.images.items()} == expected
    assert (len(expected), set(expected.values())) == (298, {"daisy", "tulips"})
    assert {len(row["pixels"]) for row in flowers.images.values()} == {64 * 64 * 3}
    assert flowers.reasons() == {("LICENSE.txt", 0): "not a picture"}
    flowers.assert_accounts(299)


NAMES = [
    "a b.png",
    "c+d.png",
    "50%.PNG",
    "%41.png",
    "日本 é.jpeg",
    "[1]{2}*.png",
    "q?#&.png",
    "two.dots.gif",
    "sub+ %/x.png",
    "bare",
]


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory: Folder) -> Prepared:
    """Pictures of one colour each, the n-th of brightness 10 n."""
    folder = tmp_path_factory.mktemp("odd") / "in é+% x"
    for n, name in enumerate(NAMES):
        kind = {".gif": "gif", ".jpeg": "jpeg"}.get(Path(name).suffix, "png")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded((10 * n,) * 3, kind))
    (folder / "x 100%+é.txt").write_text("no picture")
    (folder / "none.png").touch()
    return Prepared(folder.parent / "root", folder, height=4, width=4, channels=1)


def test_file_names_may_hold_blanks_signs_and_any_script(oddly_named: Prepared) -> None:
    stems = [Path(name).stem for name in NAMES]
    assert stems[2:5] == ["50%", "%41", "日本 é"]
    assert {
        item_id: oddly_named.pixels(item_id).ravel().tolist() for item_id in oddly_named.images
    } == {stem: [10 * n] * 16 for n, stem in enumerate(stems)}
    assert oddly_named.reasons() == {
        ("x 100%+é.txt", 0): "not a picture",
        ("none.png", 0): "empty file",
    }
    oddly_named.assert_accounts(len(NAMES) + 2)


# --------------------------------------------------------------------------------------------------
# collections

CIFAR_NAMES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry"]
CIFAR = {
    "data_batch_1": RNG.integers(0, 256, (5, 32, 32, 3), np.uint8),
    "test_batch": RNG.integers(0, 256, (3, 32, 32, 3), np.uint8),
}
CIFAR_LABELS = {"data_batch_1": [6, 0, 9, 9, 3], "test_batch": [1, 2, 3]}


def planes(pictures: np.ndarray) -> np.ndarray:
    """(n, 3072): of each picture all reds, then greens, then blues."""
    return np.stack(
        [
            np.concatenate([picture[..., colour].ravel() for colour in range(3)])
            for picture in pictures
        ]
    )


def assert_is_cifar(prepared: Prepared) -> None:
    expected = {
        f"{batch}-{place:05d}": (batch, place, CIFAR_NAMES[label])
        for batch, labels in CIFAR_LABELS.items()
        for place, label in enumerate(labels)
    }
    assert {item_id: row["label"] for item_id, row in prepared.images.items()} == {
        i: row[2] for i, row in expected.items()
    }
    for item_id, (batch, place, _) in expected.items():
        np.testing.assert_array_equal(prepared.pixels(item_id), CIFAR[batch][place])
        assert prepared.images[item_id]["split"] == ("test" if batch == "test_batch" else "train")


def test_cifar10_in_its_binary_version_is_read_pixel_by_pixel(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for batch, pictures in CIFAR.items():
        records = zip(CIFAR_LABELS[batch], planes(pictures), strict=True)
        (folder / f"{batch}.bin").write_bytes(
            b"".join(bytes([label]) + row.tobytes() for label, row in records)
        )
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR_NAMES) + "\n\n")
    (folder / "readme.html").write_text("<html>")
    (folder / "data_batch_3.bin").write_bytes(b"\1" * 3000)
    (folder / "data_batch_4.bin").touch()
    prepared = Prepared(tmp_path / "root", folder)
    assert_is_cifar(prepared)
    assert prepared.reasons() == {
        (
            f"data_batch_{n}.bin",
            0,
        ): f"CIFAR-10 binary: expected a multiple of 3,073 bytes, found {size:,}"
        for n, size in ((3, 3000), (4, 0))
    }
    prepared.assert_accounts(10)


class Malice:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_pickled_cifar10_is_read_pixel_by_pixel_and_runs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for batch, pictures in CIFAR.items():
        content = {
            b"labels": CIFAR_LABELS[batch],
            b"data": planes(pictures),
            b"filenames": [b"x.png"] * len(pictures),
        }
        (folder / batch).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(
        pickle.dumps({b"label_names": [n.encode() for n in CIFAR_NAMES]}, protocol=2)
    )
    evil = {b"labels": [1], b"data": Malice(tmp_path / "ran")}
    (folder / "data_batch_2").write_bytes(pickle.dumps(evil, protocol=2))
    prepared = Prepared(tmp_path / "root", folder)
    assert_is_cifar(prepared)
    (rejected,) = prepared.rejected
    assert (rejected["source_file"], rejected["item_id"]) == ("data_batch_2", None)
    assert rejected["reason"] == "CIFAR-10 pickle: expected data only, found the global posix.mkdir"
    assert not (tmp_path / "ran").exists()
    prepared.assert_accounts(9)


CLOTHES = RNG.integers(0, 256, (4, 28, 28), np.uint8)


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: Folder) -> Prepared:
    """IDX files: a zipped pair; then one whose labels are missing, too few, or an empty file;
    and pictures without pixels.
    """
    folder = tmp_path_factory.mktemp("idx")
    files = {
        "train-images-idx3-ubyte.gz": gzip.compress(idx(CLOTHES)),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(np.array([1, 0, 1, 7], np.uint8))),
        "t10k-images-idx3-ubyte": idx(CLOTHES),
        "more.images.idx3-ubyte": idx(CLOTHES),
        "more.labels.idx1-ubyte": idx(np.array([1], np.uint8)),
        "flat-images-idx3-ubyte": idx(np.zeros((2, 0, 5), np.uint8)),
        "flat-labels-idx1-ubyte": idx(np.zeros(2, np.uint8)),
        "void-images-idx3-ubyte": idx(CLOTHES),
        "void-labels-idx1-ubyte": b"",
    }
    (folder / "in").mkdir()
    for name, content in files.items():
        (folder / "in" / name).write_bytes(content)
    return Prepared(
        folder / "root",
        folder / "in",
        height=28,
        width=28,
        channels=1,
        label_names=["shirt", "shoe"],
    )


def test_idx_pictures_are_read_pixel_by_pixel_with_names_for_their_labels(
    clothes: Prepared,
) -> None:
    assert {i: (row["label"], row["split"]) for i, row in clothes.images.items()} == {
        f"train-{place:05d}": (label, "train")
        for place, label in enumerate(["shoe", "shirt", "shoe", "7"])
    }
    for place, pixels in enumerate(CLOTHES):
        np.testing.assert_array_equal(clothes.pixels(f"train-{place:05d}")[..., 0], pixels)


def test_idx_files_that_do_not_fit_together_are_rejected_and_end_nothing(clothes: Prepared) -> None:
    assert clothes.reasons() == {
        ("t10k-images-idx3-ubyte", 0): "the file of its labels is missing",
        (
            "more.images.idx3-ubyte",
            0,
        ): "pictures of shape (4, 28, 28) do not go with labels of shape (1,)",
        ("flat-images-idx3-ubyte", 0): "no pixels",
        (
            "void-images-idx3-ubyte",
            0,
        ): "IDX: expected 00 00 08 and 1 to 3 dimensions, found nothing",
    }
    clothes.assert_accounts(8)


def test_parquet_rows_are_pictures_under_their_ids(tmp_path: Path) -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    first = {
        "my id": [" 7 ", "8", None, "9", "10", " "],
        "photo": [encoded(red), None, encoded(red), b"?", b"", encoded(red)],
    }
    second = {
        "my id": ["7", "11", "8"],
        "photo": [encoded(green), encoded(blue, "bmp"), encoded(green, "webp")],
    }
    (tmp_path / "in").mkdir()
    for name, columns in (
        ("a.parquet", first | {"kind": list("abcdef")}),
        ("b.parquet", second | {"kind": ["g", None, "i"]}),
    ):
        pq.write_table(pa.table(columns), tmp_path / "in" / name, row_group_size=2)
    columns = {"item_id": "my id", "image": "photo", "label": "kind"}
    prepared = Prepared(tmp_path / "root", tmp_path / "in", columns=columns, height=4, width=4)
    found = {
        item_id: (row["label"], tuple(prepared.pixels(item_id)[0, 0].tolist()))
        for item_id, row in prepared.images.items()
    }
    assert found["7"] == ("a", red)
    assert found["11"] == (None, blue)
    assert found["8"][0] == "i"
    assert len(found) == 3
    assert prepared.reasons() == {
        ("a.parquet", 1): "no picture",
        ("a.parquet", 2): "item_id is missing",
        ("a.parquet", 3): "not a picture",
        ("a.parquet", 4): "empty file",
        ("a.parquet", 5): "item_id is missing",
        ("b.parquet", 0): "another picture of the same item",
    }
    assert {row["item_id"] for row in prepared.rejected} == {"8", None, "9", "10", "7"}
    prepared.assert_accounts(9)


def test_one_large_archive_and_one_row_group_are_cut_into_tasks_and_stay_whole(
    tmp_path: Path,
) -> None:
    # labels are valid, and so are pixels
    records = np.random.default_rng(2).integers(0, 10, (6_000, 3073), np.uint8)
    records[0, 1:], records[-1, 1:] = 0, 255
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    prepared = Prepared(tmp_path / "root", tmp_path / "data_batch_1.bin")
    for place in (0, 2_999, 3_000, 5_999):
        np.testing.assert_array_equal(
            planes(prepared.pixels(f"data_batch_1-{place:05d}")[None]),
            records[place : place + 1, 1:],
        )
    prepared.assert_accounts(6_000)
    assert len(list((tmp_path / "root" / "images").glob("*/*.parquet"))) == 2
    pictures = [encoded((number, 0, 0)) for number in range(200)]
    pq.write_table(pa.table({"id": range(200), "photo": pictures}), tmp_path / "one.parquet")
    whole = Prepared(
        tmp_path / "root-2",
        tmp_path / "one.parquet",
        columns={"item_id": "id", "image": "photo"},
        height=4,
        width=4,
    )
    assert [whole.pixels(f"{number}")[0, 0, 0] for number in range(200)] == list(range(200))
    whole.assert_accounts(200)


def test_a_struct_of_bytes_and_path_is_a_picture_and_numbered_labels_have_names(
    tmp_path: Path,
) -> None:
    """As datasets of Hugging Face have them, in files named by their split."""
    for split, numbers in {"train": [0, 1], "validation": [2], "test": [3, 4]}.items():
        images = [{"bytes": encoded((10 * n, 0, 0)), "path": f"{n}.png"} for n in numbers]
        labels = [-1 if n == 4 else n % 3 for n in numbers]
        path = tmp_path / "in" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"image": images, "label": labels, "id": numbers}), path)
    columns = {"item_id": "id", "image": "image", "label": "label"}
    prepared = Prepared(
        tmp_path / "root",
        tmp_path / "in",
        columns=columns,
        label_names=["tee", "coat", "bag"],
        height=4,
        width=4,
    )
    assert {item: (row["label"], row["split"]) for item, row in prepared.images.items()} == {
        "0": ("tee", "train"),
        "1": ("coat", "train"),
        "2": ("bag", "val"),
        "3": ("tee", "test"),
        "4": (None, "test"),
    }
    assert [int(prepared.pixels(str(n))[0, 0, 0]) for n in range(5)] == [0, 10, 20, 30, 40]
    assert prepared.info["splits"] == {"train": 2, "val": 1, "test": 2}
    with pytest.raises(
        DataError, match=r"label 2 has no name: images\.label_names has 2, for 0 to 1"
    ):
        Prepared(tmp_path / "root", tmp_path / "in", columns=columns, label_names=["tee", "coat"])


def test_ids_and_labels_of_any_type_are_those_of_their_text_in_other_files(tmp_path: Path) -> None:
    files = {
        "1": {"id": ["7", "8"], "label": ["x", "1"]},
        "2": {"id": [9.0, float("nan")], "label": [1, 2]},
        "3": {"id": [10, 7], "label": pa.array(["x", "y"]).dictionary_encode()},
    }
    (tmp_path / "in").mkdir()
    for name, values in files.items():
        odd = {"taken": pa.array([5, 6], pa.time64("us")), "photo.png": [encoded((1, 2, 3))] * 2}
        pq.write_table(
            pa.table(values | odd), tmp_path / "in" / f"{name}.parquet", compression="brotli"
        )
    columns = {"item_id": "id", "image": "photo.png", "label": "label"}
    prepared = Prepared(tmp_path / "root", tmp_path / "in", columns=columns, height=4, width=4)
    assert {item: row["label"] for item, row in prepared.images.items()} == {
        "7": "x",
        "8": "1",
        "9": "1",
        "10": "x",
    }
    assert prepared.reasons() == {
        ("2.parquet", 1): "item_id is missing",
        ("3.parquet", 1): "another picture of the same item",
    }


def test_a_column_that_a_later_file_lacks_is_missed(tmp_path: Path) -> None:
    whole = {"id": [1], "photo": [encoded((1, 2, 3))], "label": ["x"]}
    (tmp_path / "in").mkdir()
    for name, columns in {
        "a": whole,
        "b": {k: v for k, v in whole.items() if k != "label"},
    }.items():
        pq.write_table(pa.table(columns), tmp_path / "in" / f"{name}.parquet")
    with pytest.raises(
        SchemaError, match=r"b\.parquet: column 'label' is missing; the file has: id, photo"
    ):
        Prepared(tmp_path / "root", tmp_path / "in", columns=COLUMNS | {"label": "label"})


def test_pictures_that_a_file_has_lost_are_missed(tmp_path: Path) -> None:
    """Its footer is whole, and so are the bytes of its first pictures."""
    pictures = [np.random.default_rng(n).bytes(900) for n in range(300)]
    pq.write_table(
        pa.table({"id": range(300), "photo": pictures}),
        tmp_path / "a.parquet",
        compression="none",
        data_page_size=5000,
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    footer = len(whole) - int.from_bytes(whole[-8:-4], "little") - 8
    (tmp_path / "a.parquet").write_bytes(whole[: footer * 2 // 5] + whole[footer:])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read: "):
        Prepared(tmp_path / "root", tmp_path / "a.parquet", columns=COLUMNS)


def test_names_are_one_whether_their_accents_are_letters_or_marks(tmp_path: Path) -> None:
    name, other = "caf\u00e9 a:1", "\u0915\u093c"
    (tmp_path / "in").mkdir()
    for n, form in enumerate(["NFD", "NFC"]):
        (tmp_path / "in" / f"{unicodedata.normalize(form, name)}.png").write_bytes(
            encoded((n, n, n))
        )
    (tmp_path / "in" / f" {other}\u00a0.png").write_bytes(encoded((9, 9, 9)))
    joined = Prepared(tmp_path / "root", tmp_path / "in", height=4, width=4)
    assert set(joined.images) == {unicodedata.normalize("NFC", text) for text in (name, other)}
    assert list(joined.reasons().values()) == ["another picture of the same item"]
    apart = Prepared(tmp_path / "root-2", tmp_path / "in", height=4, width=4, normalize=False)
    assert len(apart.images) == 3


# --------------------------------------------------------------------------------------------------
# splits


def test_folders_called_train_valid_and_test_are_the_split(tmp_path: Path) -> None:
    for n, name in enumerate(["Train/0/a", "Train/1/b", "VALID/0/a", "test/1/a", "test/1/b"]):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / f"{name}.png").write_bytes(encoded((n, n, n)))
    (tmp_path / "in" / "README.md").write_text("three folders")
    prepared = Prepared(
        tmp_path / "root",
        tmp_path / "in",
        labels="folder",
        label_names=["cat", "dog"],
        height=4,
        width=4,
    )
    assert {item: (row["label"], row["split"]) for item, row in prepared.images.items()} == {
        "Train/0/a.png": ("cat", "train"),
        "Train/1/b.png": ("dog", "train"),
        "VALID/0/a.png": ("cat", "val"),
        "test/1/a.png": ("dog", "test"),
        "test/1/b.png": ("dog", "test"),
    }
    assert prepared.info["splits"] == {"train": 2, "val": 1, "test": 2}
    plain = Prepared(
        tmp_path / "root-2", tmp_path / "in", labels="folder", split="none", height=4, width=4
    )
    assert {row["split"] for row in plain.images.values()} == {None}


@pytest.mark.parametrize(
    ("paths", "labels", "expected"),
    [
        (["train/a/1.png", "val/a/1.png"], "folder", ["train", "val"]),
        (["train/1.png", "test/1.png"], "none", ["train", "test"]),
        # classes, of which one is of trains
        (["train/1.png", "car/1.png"], "folder", [None, None]),
        (["train/a/1.png", "b/1.png"], "folder", [None, None]),
        (["train/a/1.png"], "folder", [None]),
        (["photos/train/a/1.png", "photos/test/a/1.png"], "folder", [None, None]),
        (
            ["test-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
            "none",
            ["test", "train"],
        ),
        (["data/test.parquet", "data/train.parquet"], "none", [None, None]),
    ],
)
def test_which_files_say_their_split(
    paths: list[str], labels: str, expected: list[str | None]
) -> None:
    config = Config.model_validate({"images": {"path": "in", "labels": labels}}).images
    assert config is not None
    assert splits_of([RawFile(f"/in/{path}", path, 1, 1) for path in paths], config) == expected


@pytest.mark.parametrize("other", ["cats/1.png", "test/1.png", "1.jpg"])
def test_where_only_some_files_say_their_split_the_run_asks(other: str) -> None:
    config = Config.model_validate({"images": {"path": "in", "labels": "folder"}}).images
    assert config is not None
    files = [
        RawFile(f"/in/{path}", path, 1, 1) for path in ("train/a/1.png", "test/a/1.png", other)
    ]
    with pytest.raises(
        ConfigError, match=rf'in: train/a/1.png seems .* {other} of none; .* images.split = "none"'
    ):
        splits_of(files, config)


# --------------------------------------------------------------------------------------------------
# failures

COLUMNS = {"item_id": "id", "image": "photo"}


def write_all(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def table(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("files", "settings", "error", "message"),
    [
        ({}, {}, DataError, "holds no files"),
        (
            {"a.doc": b"x", "b": b"y"},
            {},
            ConfigError,
            "cannot tell what a.doc, b are; set images.format",
        ),
        (
            {"a.png": b"x", "b.png": b""},
            {},
            EmptyDatasetError,
            "of 2 pictures none can be used .1 empty file; 1 not a picture",
        ),
        (
            {"a.png": b"x"},
            {"columns": COLUMNS},
            ConfigError,
            "images.columns goes with Parquet files.* these are files",
        ),
        ({"a.parquet": table(id=[1])}, {}, ConfigError, "Parquet files need it; these are parquet"),
        (
            {"a.parquet": table(id=[1])},
            {"columns": COLUMNS},
            SchemaError,
            "column 'photo' is missing; the file has: id",
        ),
        (
            {"a.parquet": table(id=[1], photo=["x"])},
            {"columns": COLUMNS},
            SchemaError,
            "column 'photo' is string, expected",
        ),
        (
            {"a.png": b"x"},
            {"format": "cifar10"},
            DataError,
            "holds no file named as those of cifar10 are; found a.png",
        ),
        (
            {"a.parquet": table(id=[1])},
            {"columns": COLUMNS, "labels": "folder"},
            ConfigError,
            "set images.columns.label",
        ),
        (
            {"a.parquet": table(id=[1])},
            {"columns": COLUMNS, "label_names": ["x"]},
            ConfigError,
            "set images.columns.label",
        ),
        (
            {"a.png": b"x"},
            {"label_names": ["x"]},
            ConfigError,
            'picture files have none; set labels = "folder"',
        ),
        (
            {"data_batch_1.bin": b"x"},
            {"labels": "folder"},
            ConfigError,
            "for picture files, and these are cifar10; remove it",
        ),
    ],
)
def test_what_cannot_be_read_at_all_is_told(
    tmp_path: Path,
    files: dict[str, bytes],
    settings: Row,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        Prepared(tmp_path / "root", write_all(tmp_path / "in", files), **settings)
    assert not list((tmp_path / "root").glob("*/manifest.json"))


def test_pictures_of_any_name_are_read_but_hidden_ones(tmp_path: Path) -> None:
    names = ["_MG_0001.png", "-tJYN.png", "a:1.png", "b.PNG"]
    files = {name: encoded((1, 2, 3)) for name in (*names, ".hidden.png", "c.png._COPYING_")}
    prepared = Prepared(tmp_path / "root", write_all(tmp_path / "in", files))
    assert sorted(prepared.images) == ["-tJYN", "_MG_0001", "a:1", "b"]
