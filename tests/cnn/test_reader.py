"""Batches from shards that are written here by hand, every picture bearing its row's number."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberline.cnn.reader import Batch, Reader, Shards
from emberline.config import CnnConfig
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import DataError, SchemaError

FINGERPRINT, RUN_ID = "0123456789abcdef" * 4, "20250102T030405-00c0ffee"
SCHEMA = TABLES["shards_train"]
SHAPE = (3, 4, 1)
PARTS = (7, 10, 3)
ROWS = sum(PARTS)


def picture(number: int, size: int = 12) -> bytes:
    """The first byte is the row's number; the others are noise of its own."""
    return bytes([number]) + np.random.default_rng(number).bytes(size - 1)


@dataclass
class Written:
    """What is written for each row."""

    pixels: list[bytes]
    labels: list[int | None]
    factors: list[list[float] | None]


def written(rows: int = ROWS) -> Written:
    numbers = range(rows)
    return Written([picture(n) for n in numbers], [n % 3 for n in numbers], [[n / 2, -float(n)] for n in numbers])


def dataset(root: Path, content: Written | None = None, task: str = "class", parts: tuple[int, ...] = PARTS) -> Dataset:
    """Shards with row groups of 4 rows."""
    content = content or written(sum(parts))
    rows = sum(parts)
    columns = {
        "item": pa.array(range(100, 100 + rows), pa.int32()),
        "item_id": [f"i{number}" for number in range(rows)],
        "split": ["train"] * rows,
        "label": pa.array(content.labels if task == "class" else [None] * rows, pa.int32()),
        "factors": pa.array([None] * rows if task == "class" else content.factors, pa.list_(pa.float32())),
        "pixels": pa.array(content.pixels, pa.binary()),
    }
    table = pa.table(columns, schema=SCHEMA)
    folder = root / "shards_train" / manifests.run_folder(FINGERPRINT, RUN_ID)
    begins = np.cumsum(parts) - parts
    made = [
        write_part([table.slice(begin, count)], folder, f"part-{number:05d}", SCHEMA, group_rows=4)
        for number, (begin, count) in enumerate(zip(begins.tolist(), parts, strict=True))
    ]
    info = {
        "height": SHAPE[0],
        "width": SHAPE[1],
        "channels": SHAPE[2],
        "task": task,
        "row_group_rows": 4,
        "classes": ["a", "b", "c"],
    }
    produced_by = ProducedBy("export-shards", FINGERPRINT, RUN_ID)
    manifests.commit(root, Manifest("shards_train", "table", fields_of(SCHEMA), rows, made, produced_by, info=info))
    return manifests.load(root, "shards_train")


def config(**changes: Any) -> CnnConfig:
    return CnnConfig(**({"global_batch_size": 8, "streams": 4, "pool": 2, "seed": 3} | changes))


@pytest.fixture
def shards(root: Path) -> Shards:
    return Shards(dataset(root), 1 << 20)


def batches(shards: Shards, epoch: int = 0, start: int = 0, replicas: int = 1, **changes: Any) -> list[list[Batch]]:
    return list(Reader(shards, config(**changes)).batches(epoch, start, replicas))


def numbers(batch: Batch) -> list[int]:
    """The numbers of a batch's rows that count."""
    return batch.pixels[batch.weights > 0][:, 0, 0, 0].tolist()


def assert_equal(one: list[list[Batch]], other: list[list[Batch]]) -> None:
    assert len(one) == len(other)
    for these, those in zip(one, other, strict=True):
        for this, that in zip(these, those, strict=True):
            for name in ("pixels", "targets", "weights"):
                np.testing.assert_array_equal(getattr(this, name), getattr(that, name))
            assert this.total == that.total


@pytest.fixture
def threads() -> Iterator[set[threading.Thread]]:
    """The threads there were before; afterwards there are no others."""
    before = set(threading.enumerate())
    yield before
    assert set(threading.enumerate()) <= before


# ---------------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("changes", [{}, {"streams": 1}, {"streams": 8}, {"pool": 1}, {"global_batch_size": 64}])
@pytest.mark.parametrize("epoch", [0, 7])
def test_every_row_counts_exactly_once_an_epoch(shards: Shards, changes: dict[str, int], epoch: int) -> None:
    found = [batch for (batch,) in batches(shards, epoch, **changes)]
    assert sorted(number for batch in found for number in numbers(batch)) == list(range(ROWS))
    assert {len(batch.pixels) for batch in found} == {config(**changes).global_batch_size}
    assert {float(weight) for batch in found for weight in batch.weights} <= {0.0, 1.0}


def test_pictures_come_with_their_pixels_and_classes(shards: Shards) -> None:
    for (batch,) in batches(shards):
        assert batch.pixels.dtype == np.uint8
        assert batch.pixels.shape == (8, *SHAPE)
        assert batch.targets.dtype == np.int32
        for pixels, target in zip(batch.pixels, batch.targets, strict=True):
            number = int(pixels[0, 0, 0])
            assert pixels.tobytes() == picture(number)
            assert target == number % 3


def test_targets_are_what_the_reader_is_told_to_make_of_factors(root: Path) -> None:
    shards = Shards(dataset(root, task="factors"), 0)
    for (batch,) in Reader(shards, config(), lambda factors: factors[:, 1:] * 2).batches(0, 0, 1):
        assert batch.targets.tolist() == [[-2.0 * number] for number in batch.pixels[:, 0, 0, 0].tolist()]


def test_the_total_is_the_number_of_rows_that_count_in_the_global_batch(shards: Shards) -> None:
    for parts in batches(shards, replicas=2, streams=8):
        real = sum(int((part.weights > 0).sum()) for part in parts)
        assert [part.total for part in parts] == [real, real]
    assert sum(parts[0].total for parts in batches(shards, streams=8)) == ROWS


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_may_be_entered_at_any_step(shards: Shards, root: Path, start: int) -> None:
    changes = {"flip": True, "shift": 2, "global_batch_size": 4}
    whole = batches(shards, 2, replicas=2, **changes)
    assert len(whole) == 5
    rest = batches(Shards(shards.dataset, 0), 2, start, replicas=2, **changes)
    assert_equal(rest, whole[start:])


def test_there_is_nothing_after_the_last_step(shards: Shards) -> None:
    assert batches(shards, start=len(batches(shards))) == []


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_together_see_what_one_sees_alone(shards: Shards, replicas: int) -> None:
    """Stream after stream; replica r serves the streams r, r + R, ... of the four."""
    changes = {"flip": True, "shift": 1, "epoch": 4}
    alone, shared = batches(shards, **changes), batches(shards, replicas=replicas, **changes)
    assert len(alone) == len(shared) == 3
    order = [stream for replica in range(replicas) for stream in range(replica, 4, replicas)]
    for (one,), parts in zip(alone, shared, strict=True):
        assert {len(part.pixels) for part in parts} == {8 // replicas}
        assert {part.total for part in parts} == {one.total}
        for name in ("pixels", "targets", "weights"):
            streams = np.split(getattr(one, name), 4)
            together = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(together, np.concatenate([streams[stream] for stream in order]))


def test_epochs_and_seeds_have_orders_of_their_own(shards: Shards) -> None:
    orders = [[numbers(batch) for (batch,) in batches(shards, epoch, seed=seed)] for epoch in (0, 1) for seed in (1, 2)]
    assert len({str(order) for order in orders}) == 4


def test_a_picture_changes_by_its_row_and_epoch_whatever_the_batch(shards: Shards) -> None:
    """Pixels that were moved no longer tell the row's number, so here every row has a class of its own."""

    def seen(epoch: int, **changes: int) -> dict[int, bytes]:
        reader = Reader(shards, config(flip=True, shift=1, **changes))
        parts = [part for parts in reader.batches(epoch, 0, 1) for part in parts]
        return {n: p.tobytes() for b in parts for n, p, w in zip(b.targets.tolist(), b.pixels, b.weights, strict=True) if w}

    wide = Written(written().pixels, list(range(ROWS)), [])
    shards = Shards(dataset(shards.dataset.folder.parent, wide), 1 << 20)
    first = seen(0)
    assert len(first) == ROWS
    assert seen(0, global_batch_size=4, pool=1, streams=2) == first
    changed = [row for row, pixels in seen(1).items() if pixels != first[row]]
    assert len(changed) > ROWS / 2


# ----------------------------------------------------------------------------------------------------------------- thread


def test_an_error_of_the_reading_thread_reaches_the_consumer(shards: Shards, threads: set[threading.Thread]) -> None:
    for path in shards.dataset.paths:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        batches(shards)


def test_an_error_comes_after_the_batches_before_it(shards: Shards, threads: set[threading.Thread]) -> None:
    def target_of(targets: np.ndarray) -> np.ndarray:
        if len(seen) == 2:
            raise ZeroDivisionError
        seen.append(targets)
        return targets

    seen: list[np.ndarray] = []
    asked = Reader(shards, config(), target_of).batches(0, 0, 1)
    assert len([next(asked) for _ in range(2)]) == 2
    with pytest.raises(ZeroDivisionError):
        next(asked)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_abandoned_epoch_leaves_no_thread(shards: Shards, threads: set[threading.Thread], taken: int) -> None:
    asked = Reader(shards, config(global_batch_size=4)).batches(0, 0, 1)
    for _ in range(taken):
        next(asked)
    asked.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= threads


def test_only_a_few_batches_are_read_ahead(root: Path, threads: set[threading.Thread]) -> None:
    made = threading.Semaphore(0)

    def target_of(targets: np.ndarray) -> np.ndarray:
        made.release()
        return targets

    asked = Reader(Shards(dataset(root, parts=(100,)), 0), config(global_batch_size=4), target_of).batches(0, 0, 1)
    next(asked)
    for _ in range(3):
        assert made.acquire(timeout=10)  # without being asked for
    ahead = 3
    while made.acquire(timeout=0.3):
        ahead += 1
    assert ahead < 10
    asked.close()  # type: ignore[attr-defined]


# ----------------------------------------------------------------------------------------------------------------- shards


def test_row_groups_are_numbered_over_all_parts(shards: Shards) -> None:
    assert len(shards) == ROWS
    assert shards.shape == SHAPE
    assert shards.group_rows == (4, 3, 4, 4, 2, 3)
    assert [shards.group(n).numbers.tolist() for n in (1, 4)] == [[4, 5, 6], [15, 16]]
    assert shards.group(4).pixels[:, 0, 0, 0].tolist() == [15, 16]
    assert shards.items(4).to_pylist() == [115, 116]
    assert [row for rows in shards.in_order() for row in rows.numbers.tolist()] == list(range(ROWS))


def test_groups_read_last_are_kept_up_to_so_many_bytes(root: Path) -> None:
    """A group of four pictures has 48 bytes."""
    shards = Shards(dataset(root, parts=(24,)), 150)
    kept = {number: shards.group(number) for number in (0, 1, 2)}
    assert all(shards.group(number) is rows for number, rows in kept.items())
    assert shards.group(0) is kept[0]
    shards.group(3)
    assert shards.group(0) is kept[0]
    assert shards.group(2) is kept[2]
    again = shards.group(1)
    assert again is not kept[1]
    np.testing.assert_array_equal(again.pixels, kept[1].pixels)


def test_the_memory_of_kept_groups_is_bounded(root: Path) -> None:
    """As Arrow counts it: 50 groups of 4,000 bytes each, and room for ten."""
    big = Written([picture(n, 1000) for n in range(200)], [0] * 200, [])
    folder = dataset(root, big, parts=(200,))
    folder.manifest.info.update(height=10, width=100)
    before = pa.total_allocated_bytes()
    shards = Shards(folder, 40_000)
    for number in range(50):
        shards.group(number)
    assert 30_000 < pa.total_allocated_bytes() - before < 60_000


def test_with_no_room_one_group_is_kept(root: Path) -> None:
    shards = Shards(dataset(root), 0)
    first = shards.group(0)
    assert shards.group(0) is first
    shards.group(1)
    assert shards.group(0) is not first


@pytest.mark.parametrize("damage", [slice(0, -20), slice(0, 60), slice(0, 0), slice(4, None)])
def test_a_damaged_part_is_named(shards: Shards, damage: slice) -> None:
    path = shards.dataset.paths[1]
    path.write_bytes(path.read_bytes()[damage])
    assert len(shards.group(0)) == 4
    with pytest.raises(DataError, match=f"(?s){path} cannot be read .*; rerun export-shards"):
        shards.group(2)


def test_a_flipped_bit_of_a_picture_is_noticed(shards: Shards) -> None:
    path = shards.dataset.paths[1]
    content = bytearray(path.read_bytes())
    content[content.index(picture(8)[:8])] ^= 1  # zstd keeps noise as it is
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path} cannot be read"):
        shards.group(2)


def test_a_part_that_has_gone_is_named(shards: Shards) -> None:
    shards.dataset.paths[2].unlink()
    with pytest.raises(DataError, match=str(shards.dataset.paths[2])):
        shards.group(5)


@pytest.mark.parametrize("sizes", [[11] * 4, [11, 12, 12, 12], [11, 13, 12, 12], [0, 0, 0, 0], [24, 24, 24, 24]])
def test_pictures_of_another_size_are_refused(root: Path, sizes: list[int]) -> None:
    content = written()
    content.pixels[11:15] = [picture(number, 12)[:size].ljust(size, b"x") for number, size in enumerate(sizes)]
    shards = Shards(dataset(root, content), 0)
    assert len(shards.group(2)) == 4
    with pytest.raises(SchemaError, match=r"shards_train: pictures of .* bytes where the manifest says"):
        shards.group(3)


def test_a_row_without_a_class_has_minus_one(root: Path) -> None:
    content = written()
    content.labels[5] = None
    shards = Shards(dataset(root, content), 0)
    assert shards.group(1).targets.tolist() == [1, -1, 0]
    assert shards.targets().tolist() == [-1 if n == 5 else n % 3 for n in range(ROWS)]
    assert shards.targets().dtype == np.int32


def test_factors_are_rows_of_a_matrix(root: Path) -> None:
    shards = Shards(dataset(root, task="factors"), 0)
    assert shards.group(1).targets.tolist() == [[2.0, -4.0], [2.5, -5.0], [3.0, -6.0]]
    assert shards.targets().dtype == np.float32
    assert shards.targets().tolist() == [[n / 2, -n] for n in range(ROWS)]


def test_a_group_with_a_row_without_factors_has_pictures_and_an_empty_matrix(root: Path) -> None:
    content = written()
    content.factors[5] = None
    shards = Shards(dataset(root, content, task="factors"), 0)
    assert shards.group(0).targets.shape == (4, 2)
    assert shards.group(1).targets.shape == (3, 0)
    assert shards.group(1).pixels[:, 0, 0, 0].tolist() == [4, 5, 6]
