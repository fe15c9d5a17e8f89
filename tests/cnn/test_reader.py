"""Batches from shards that are written here by hand, every picture bearing its row's number."""

import hashlib
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.cnn.reader import Batch, Reader
from emberline.cnn.shards import Shards
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.footers import read_footer
from emberline.datasets.manifest import Dataset, Manifest, Part, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import DataError, ManifestError, SchemaError
from emberline.sections.cnn import InputConfig

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
    return Written(
        [picture(n) for n in numbers],
        [n % 3 for n in numbers],
        [[n / 2, -float(n)] for n in numbers],
    )


def dataset(
    root: Path, content: Written | None = None, task: str = "class", parts: tuple[int, ...] = PARTS
) -> Dataset:
    """Shards with row groups of 4 rows."""
    content = content or written(sum(parts))
    rows = sum(parts)
    columns = {
        "item": pa.array(range(100, 100 + rows), pa.int32()),
        "item_id": [f"i{number}" for number in range(rows)],
        "split": ["train"] * rows,
        "label": pa.array(content.labels if task == "class" else [None] * rows, pa.int32()),
        "factors": pa.array(
            [None] * rows if task == "class" else content.factors, pa.list_(pa.float32())
        ),
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
    rank = 2 if task == "factors" else None
    manifests.commit(
        root,
        Manifest(
            "shards_train",
            "table",
            fields_of(SCHEMA),
            rows,
            made,
            produced_by,
            rank=rank,
            info=info,
        ),
    )
    return manifests.load(root, "shards_train")


def config(**changes: Any) -> InputConfig:
    return InputConfig(**({"global_batch_size": 8, "streams": 4, "pool": 2} | changes))


def reader_of(shards: Shards, target_of: Any = np.asarray, seed: int = 3, **changes: Any) -> Reader:
    return Reader(shards, config(**changes), seed, target_of)


@pytest.fixture
def shards(root: Path) -> Shards:
    return Shards(dataset(root))


def batches(
    shards: Shards, epoch: int = 0, start: int = 0, replicas: int = 1, **changes: Any
) -> list[list[Batch]]:
    return list(reader_of(shards, **changes).batches(epoch, start, replicas))


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


# --------------------------------------------------------------------------------------------------
# batches


@pytest.mark.parametrize(
    "changes", [{}, {"streams": 1}, {"streams": 8}, {"pool": 1}, {"global_batch_size": 64}]
)
@pytest.mark.parametrize("epoch", [0, 7])
def test_every_row_counts_exactly_once_an_epoch(
    shards: Shards, changes: dict[str, int], epoch: int
) -> None:
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
    shards = Shards(dataset(root, task="factors"))
    for (batch,) in reader_of(shards, lambda factors: factors[:, 1:] * 2).batches(0, 0, 1):
        assert batch.targets.tolist() == [
            [-2.0 * number] for number in batch.pixels[:, 0, 0, 0].tolist()
        ]


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
    rest = batches(Shards(shards.dataset), 2, start, replicas=2, **changes)
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
            np.testing.assert_array_equal(
                together, np.concatenate([streams[stream] for stream in order])
            )


def test_a_process_may_serve_some_of_the_replicas(shards: Shards) -> None:
    whole = batches(shards, 1, replicas=4, flip=True)
    for served in ([0], [3], [2, 3]):
        found = list(reader_of(shards, flip=True).batches(1, 0, 4, served))
        assert_equal(found, [[parts[replica] for replica in served] for parts in whole])


def test_what_fills_a_batch_is_a_row_that_is_there(shards: Shards) -> None:
    (batch,) = [batch for (batch,) in batches(shards, streams=8, global_batch_size=64)]
    assert {pixels.tobytes() for pixels in batch.pixels[batch.weights == 0]} == {picture(0)}


def test_what_fills_batches_is_read_once(shards: Shards) -> None:
    shards.repeated_first(1)
    shards.dataset.paths[0].unlink()
    assert shards.repeated_first(3).numbers.tolist() == [0, 0, 0]


def test_epochs_and_seeds_have_orders_of_their_own(shards: Shards) -> None:
    orders = [
        [numbers(batch) for (batch,) in batches(shards, epoch, seed=seed)]
        for epoch in (0, 1)
        for seed in (1, 2)
    ]
    assert len({str(order) for order in orders}) == 4


def test_a_picture_changes_by_its_row_and_epoch_whatever_the_batch(shards: Shards) -> None:
    """Pixels that were moved no longer tell the row's number, so here every row has a class of
    its own.
    """

    def seen(epoch: int, **changes: int) -> dict[int, bytes]:
        reader = reader_of(shards, flip=True, shift=1, **changes)
        parts = [part for parts in reader.batches(epoch, 0, 1) for part in parts]
        return {
            n: p.tobytes()
            for b in parts
            for n, p, w in zip(b.targets.tolist(), b.pixels, b.weights, strict=True)
            if w
        }

    wide = Written(written().pixels, list(range(ROWS)), [])
    shards = Shards(dataset(shards.dataset.folder.parent, wide))
    first = seen(0)
    assert len(first) == ROWS
    assert seen(0, global_batch_size=4, pool=1, streams=2) == first
    changed = [row for row, pixels in seen(1).items() if pixels != first[row]]
    assert len(changed) > ROWS / 2


# --------------------------------------------------------------------------------------------------
# thread


def test_an_error_of_the_reading_thread_reaches_the_consumer(
    shards: Shards, threads: set[threading.Thread]
) -> None:
    for path in shards.dataset.paths:
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        batches(shards)


def test_an_error_comes_after_the_batches_before_it(
    root: Path, threads: set[threading.Thread]
) -> None:
    def target_of(targets: np.ndarray) -> np.ndarray:
        if len(seen) == 2:
            raise ZeroDivisionError
        seen.append(targets)
        return targets

    seen: list[np.ndarray] = []
    asked = reader_of(large(root), target_of, global_batch_size=4).batches(0, 0, 1)
    assert len([next(asked) for _ in range(2)]) == 2
    with pytest.raises(ZeroDivisionError):
        next(asked)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_abandoned_epoch_leaves_no_thread(
    shards: Shards, threads: set[threading.Thread], taken: int
) -> None:
    asked = reader_of(shards, global_batch_size=4).batches(0, 0, 1)
    for _ in range(taken):
        next(asked)
    asked.close()
    assert set(threading.enumerate()) <= threads


def test_only_a_few_megabytes_are_cut_ahead(root: Path, threads: set[threading.Thread]) -> None:
    """Four megabytes a batch: one that is asked for, one that waits, and one in the making."""
    made = threading.Semaphore(0)

    def target_of(targets: np.ndarray) -> np.ndarray:
        made.release()
        return targets

    asked = reader_of(large(root), target_of, global_batch_size=4).batches(0, 0, 1)
    for _ in range(2):
        assert made.acquire(timeout=10)  # without being asked for
    next(asked)
    ahead = 2
    while made.acquire(timeout=0.5):
        ahead += 1
    assert ahead <= 4
    asked.close()


def large(root: Path) -> Shards:
    """24 pictures of a megabyte each."""
    folder = dataset(root, Written([bytes(1 << 20)] * 24, [0] * 24, []), parts=(24,))
    folder.manifest.info.update(height=1024, width=1024)
    return Shards(folder)


def test_memory_does_not_grow_with_the_data(root: Path) -> None:
    """The most that Python allocates in an epoch of 300 row groups, and of 1,200: two pools a
    stream, and blocks.
    """

    def peak(rows: int) -> int:
        folder = dataset(root, Written([bytes(10_000)] * rows, [0] * rows, []), parts=(rows,))
        folder.manifest.info.update(height=100, width=100)
        reader = reader_of(Shards(folder))
        tracemalloc.start()
        for _ in reader.batches(0, 0, 1):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    pools, block = 2 * 4 * 2 * 4 * 10_000, 4 << 20
    small, big = peak(1200), peak(4800)
    assert pools < big < pools + 4 * block
    # which blocks are there at one moment is a matter of chance; the data are 36 MB more
    assert big < small + 2 * block


# --------------------------------------------------------------------------------------------------
# shards


def test_row_groups_are_numbered_over_all_parts(shards: Shards) -> None:
    assert len(shards) == ROWS
    assert shards.shape == SHAPE
    assert shards.group_rows == (4, 3, 4, 4, 2, 3)
    assert [shards.group(n).numbers.tolist() for n in (1, 4)] == [[4, 5, 6], [15, 16]]
    assert shards.group(4).pixels[:, 0, 0, 0].tolist() == [15, 16]
    assert shards.items(4).to_pylist() == [115, 116]
    assert [row for rows in shards.groups(range(6)) for row in rows.numbers.tolist()] == list(
        range(ROWS)
    )


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


@pytest.mark.parametrize(
    "sizes", [[11] * 4, [11, 12, 12, 12], [11, 13, 12, 12], [0, 0, 0, 0], [24, 24, 24, 24]]
)
def test_pictures_of_another_size_are_refused(root: Path, sizes: list[int]) -> None:
    content = written()
    content.pixels[11:15] = [
        picture(number, 12)[:size].ljust(size, b"x") for number, size in enumerate(sizes)
    ]
    shards = Shards(dataset(root, content))
    assert len(shards.group(2)) == 4
    with pytest.raises(
        SchemaError, match=r"part-00001-.*parquet: pictures of .* bytes where the manifest says"
    ):
        shards.group(3)


def test_a_row_without_a_class_has_minus_one(root: Path) -> None:
    content = written()
    content.labels[5] = None
    shards = Shards(dataset(root, content))
    assert shards.group(1).targets.tolist() == [1, -1, 0]
    assert np.concatenate(list(shards.targets())).tolist() == [
        -1 if n == 5 else n % 3 for n in range(ROWS)
    ]
    assert next(shards.targets()).dtype == np.int32


def test_factors_are_rows_of_a_matrix(root: Path) -> None:
    shards = Shards(dataset(root, task="factors"))
    assert shards.group(1).targets.tolist() == [[2.0, -4.0], [2.5, -5.0], [3.0, -6.0]]
    assert next(shards.targets()).dtype == np.float32
    assert np.concatenate(list(shards.targets())).tolist() == [[n / 2, -n] for n in range(ROWS)]


def test_a_group_with_a_row_without_factors_has_pictures_and_an_empty_matrix(root: Path) -> None:
    content = written()
    content.factors[5] = None
    shards = Shards(dataset(root, content, task="factors"))
    assert shards.group(0).targets.shape == (4, 2)
    assert shards.group(1).targets.shape == (3, 0)
    assert shards.group(1).pixels[:, 0, 0, 0].tolist() == [4, 5, 6]


# --------------------------------------------------------------------------------------------------
# what does not match the manifest


def test_shards_as_they_were_written_pass_the_check_of_every_part_that_is_asked_for(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []

    def verify(dataset: Dataset, part: Part) -> None:
        verify_part(dataset, part)
        passed.append(part.path)

    verify_part = damage.verify_part
    monkeypatch.setattr(damage, "verify_part", verify)
    paths = [part.path for part in shards.dataset.manifest.parts]
    shards.check()
    assert sorted(passed) == sorted(paths)
    passed.clear()
    shards.check(slice(1, None, 2))
    assert passed == paths[1::2]


@pytest.mark.parametrize("place", [4, 0.3, 0.6, -100, -6, -1])
def test_one_flipped_byte_anywhere_in_a_part_is_found(shards: Shards, place: float) -> None:
    """At the beginning of the first page, amid the pages, in the footer, in its length, in the
    magic number.
    """
    path = shards.dataset.paths[1]
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if 0 < place < 1 else int(place)] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(
        ManifestError,
        match=f"{path.name} was altered: its sha256 is not the manifest's; rerun export-shards",
    ):
        shards.check()


def test_workers_check_their_share_of_the_parts(shards: Shards) -> None:
    path = shards.dataset.paths[1]
    path.write_bytes(path.read_bytes()[::-1])
    shards.check(slice(0, None, 2))
    with pytest.raises(ManifestError, match=path.name):
        shards.check(slice(1, None, 2))


def test_a_part_that_the_manifest_does_not_list_is_refused(shards: Shards) -> None:
    more = shards.dataset.paths[0].with_name("part-00009-deadbeef.parquet")
    more.write_bytes(shards.dataset.paths[0].read_bytes())
    with pytest.raises(
        ManifestError,
        match=f"{more} is not a part of shards_train: its manifest does not list it; remove it",
    ):
        shards.check()


def test_a_missing_part_is_refused(shards: Shards) -> None:
    shards.dataset.paths[2].unlink()
    with pytest.raises(DataError, match=f"{shards.dataset.paths[2]} cannot be read"):
        shards.check()


def rewritten(shards: Shards, table: pa.Table, **how: int) -> Dataset:
    """The dataset with another second part, of which the manifest has the right size and hash."""
    path, parts = shards.dataset.paths[1], shards.dataset.manifest.parts
    pq.write_table(table, path, **how)
    footer = hashlib.sha256(read_footer(path)).hexdigest()
    part = replace(
        parts[1], bytes=path.stat().st_size, sha256=damage.sha256_of(path), footer=footer
    )
    return replace(
        shards.dataset, manifest=replace(shards.dataset.manifest, parts=[parts[0], part, parts[2]])
    )


def test_a_part_with_other_columns_is_refused(shards: Shards) -> None:
    table = pq.read_table(shards.dataset.paths[1])
    changed = rewritten(
        shards, table.set_column(3, "label", table["label"].cast(pa.int64())), row_group_size=4
    )
    with pytest.raises(
        SchemaError,
        match=rf"{shards.dataset.paths[1]} has the columns .*label int64.*,"
        " where the manifest says .*label int32",
    ):
        Shards(changed).check()


def test_a_part_whose_row_groups_are_others_is_refused(shards: Shards) -> None:
    changed = rewritten(
        shards, pq.read_table(shards.dataset.paths[1]).cast(SCHEMA), row_group_size=5
    )
    with pytest.raises(
        SchemaError,
        match=rf"{shards.dataset.paths[1]} has row groups of \(5, 5\).* says \(4, 4, 2\)",
    ):
        Shards(changed).group(2)
