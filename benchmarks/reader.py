"""Images a second: an epoch of batches from shards, from arrays in memory, from TFRecord files, and
from emberline.numeric.arrays import UInt64
from Hugging Face's datasets.

- emberline reads shards (Parquet, zstd, pages checked against their checksums) in the order of
  cnn/reader.py: all of an epoch's
  batches can be had again, from any of them on.
- numpy has all pictures in memory, and takes those of a batch by a permutation of the whole.
- tfrecord is tf.data over uncompressed files of as many rows as our shards: the files permuted, two
  read in turn, records shuffled in a buffer of 10,000, parsed in batches by two threads, two
  batches ahead, in a deterministic order.
- datasets has the same columns as an Arrow file, mapped into memory, shuffled by an index of all
  rows, taken in batches as Arrow tables: of its ways to shuffle the fastest here.

Every subject lives in a process of its own, and has read one epoch before it is measured: files are
in the page cache. Each batch is looked at whole, byte for byte. An epoch in which not every picture
came exactly once raises AssertionError. Pages of the mapped Arrow file count as that process's
memory, but the machine may take them back.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import harness
import numpy as np
import numpy.typing as npt
from harness import Figures, Report, Subject
from pictures import GROUP_ROWS, PART_ROWS, SHAPE, in_memory, pictures, publish

from emberline.cnn.reader import Reader
from emberline.cnn.shards import Rows, Shards
from emberline.datasets.manifest import load
from emberline.images.pixels import pixel_array
from emberline.sections.cnn import InputConfig

# pictures and the numbers of their rows
Batches = Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]]
SEED = 1
_THREADS = 2
_BUFFER_ROWS = 10_000


@dataclass(frozen=True)
class Source:
    """Shards below a root, each row labelled with its number, and how many pictures a batch has."""

    root: Path
    batch_size: int

    def shards(self) -> Shards:
        return Shards(load(self.root, "shards_train"))

    def groups(self) -> Iterator[Rows]:
        shards = self.shards()
        return shards.groups(range(len(shards.group_rows)))


# --------------------------------------------------------------------------------------------------
# subjects Each opens a source, and gives the function that begins an epoch by its number.


def emberline(source: Source) -> Callable[[int], Batches]:
    reader = Reader(
        source.shards(),
        InputConfig(global_batch_size=source.batch_size, reader_threads=_THREADS),
        SEED,
    )

    def epoch(number: int) -> Batches:
        for (batch,) in reader.batches(number, 0, 1):
            if batch.total == source.batch_size:
                yield batch.pixels, batch.targets
            else:
                yield batch.pixels[batch.weights > 0], batch.targets[batch.weights > 0]

    return epoch


def numpy(source: Source) -> Callable[[int], Batches]:
    pixels, labels = in_memory(source.root)

    def epoch(number: int) -> Batches:
        order = np.random.default_rng([SEED, number]).permutation(len(labels))
        for first in range(0, len(order), source.batch_size):
            chosen = order[first : first + source.batch_size]
            yield pixels[chosen], labels[chosen]

    return epoch


def tfrecord(source: Source) -> Callable[[int], Batches]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    files = _tfrecord_files(source)
    features = {
        "pixels": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def parsed(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        columns = tf.io.parse_example(records, features)
        return (
            tf.reshape(tf.io.decode_raw(columns["pixels"], tf.uint8), (-1, *SHAPE)),
            columns["label"],
        )

    def records(file: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(file, buffer_size=1 << 20)

    def epoch(number: int) -> Batches:
        options = tf.data.Options()
        options.autotune.enabled = False  # at the end of short epochs it stalls
        options.deterministic = True
        permuted = np.random.default_rng([SEED, number]).permutation(files).tolist()
        data = tf.data.Dataset.from_tensor_slices(permuted)
        data = data.interleave(
            records, cycle_length=2, block_length=16, num_parallel_calls=_THREADS
        )
        data = data.shuffle(_BUFFER_ROWS, seed=number).batch(source.batch_size)
        yield from (
            data.map(parsed, num_parallel_calls=_THREADS)
            .prefetch(2)
            .with_options(options)
            .as_numpy_iterator()
        )

    return epoch


def _tfrecord_files(source: Source) -> list[str]:
    """Written by TensorFlow, unless they are there already."""
    import tensorflow as tf

    folder = source.root / "tfrecord"
    if folder.exists():
        return sorted(map(str, folder.iterdir()))
    folder.mkdir()
    groups = source.groups()
    for at in range(-(-len(source.shards()) // PART_ROWS)):
        with tf.io.TFRecordWriter(str(folder / f"{at:05d}.tfrecord")) as file:
            for rows in islice(groups, PART_ROWS // GROUP_ROWS):
                for pixels, label in zip(rows.pixels, rows.targets.tolist(), strict=True):
                    file.write(_example(pixels.tobytes(), label))
    return sorted(map(str, folder.iterdir()))


def _example(pixels: bytes, label: int) -> bytes:
    import tensorflow as tf

    features = {
        "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    serialized: bytes = tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString()
    return serialized


def hugging_face(source: Source) -> Callable[[int], Batches]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(source.root / "huggingface")}
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    files = [str(path) for path in source.shards().dataset.paths]
    whole = Dataset.from_parquet(
        files, columns=["pixels", "label"], cache_dir=str(source.root / "datasets")
    )

    def epoch(number: int) -> Batches:
        shuffled = whole.shuffle(seed=number, keep_in_memory=True).with_format("arrow")
        for table in shuffled.iter(source.batch_size):
            yield (
                pixel_array(table["pixels"].combine_chunks()).reshape(-1, *SHAPE),
                table["label"].to_numpy(),
            )

    return epoch


SUBJECTS = {"emberline": emberline, "numpy": numpy, "tfrecord": tfrecord, "datasets": hugging_face}


# --------------------------------------------------------------------------------------------------
# an epoch


@dataclass(frozen=True)
class Seen:
    """What came in an epoch: the numbers of the rows, and the sum of all pictures' bytes, eight
    at a time, modulo 2^64.
    """

    rows: npt.NDArray[np.integer]
    bytes_sum: int


def made(name: str, source: Source) -> Subject:
    """A subject that is ready: everything opened, one epoch read."""
    begin, numbers = SUBJECTS[name](source), count()
    expected = Seen(
        np.arange(len(source.shards())), sum(_sum(rows.pixels) for rows in source.groups()) % 2**64
    )
    judge = partial(judged, expected)
    judge(seen(begin(next(numbers))))
    return Subject(name, lambda: seen(begin(next(numbers))), judge)


def seen(batches: Batches) -> Seen:
    """Take an epoch's batches, and look at every byte of them."""
    rows, total = [], 0
    for pixels, labels in batches:
        rows.append(labels)
        total += _sum(pixels)
    return Seen(np.concatenate(rows), total % 2**64)


def _sum(pixels: npt.NDArray[np.uint8]) -> int:
    return int(pixels.reshape(-1).view(np.uint64).sum())


def judged(expected: Seen, found: Seen) -> Figures:
    """Raises AssertionError unless every row came exactly once, with its picture, and not in
    the order of the files.
    """
    assert np.array_equal(np.sort(found.rows), expected.rows), "not every row once"
    assert found.bytes_sum == expected.bytes_sum, "other pictures"
    assert not np.array_equal(found.rows, expected.rows), "not shuffled"
    return {}


# --------------------------------------------------------------------------------------------------
# cases


def measure(report: Report, rows: int, batch_sizes: Sequence[int], rounds: int) -> None:
    names = {size: f"{rows:,} images batch {size}" for size in batch_sizes}
    with TemporaryDirectory(prefix="emberline-bench-") as root:
        for size, name in names.items():
            if report.wants(name):
                source = Source(Path(root), size)
                if not (source.root / "shards_train").exists():
                    publish(
                        source.root, "shards_train", pictures(), np.arange(rows, dtype=np.int32)
                    )
                with harness.apart(
                    [partial(made, subject, source) for subject in SUBJECTS]
                ) as subjects:
                    row = report.compare(name, subjects, rounds)
                _show(report, row, rows)


def _show(report: Report, row: harness.Row, rows: int) -> None:
    """Adds to the row, and prints, images a second, and the milliseconds of one core for a
    thousand of them.
    """
    figures = {"emberline": row} | row["peers"]
    row["images_per_second"] = {who: rows / of["seconds"] for who, of in figures.items()}
    row["cpu_ms_per_1000"] = {who: of["cpu_seconds"] / rows * 1e6 for who, of in figures.items()}
    for what in ("images_per_second", "cpu_ms_per_1000"):
        report.console.print(
            f"{what.replace('_', ' ')}: "
            + ", ".join(f"{who} {rate:,.4g}" for who, rate in row[what].items())
        )
    report.console.print()


def main() -> None:
    options = harness.options(__doc__, with_spark=False)
    rounds = (
        {50_000: 3}
        if options.quick
        else {50_000: 12, 200_000: 4} | ({1_000_000: 2} if options.full else {})
    )
    with harness.report(options) as report:
        for rows, number in rounds.items():
            measure(
                report, rows, (256, 32) if rows == 50_000 and not options.quick else (256,), number
            )
        report.growth("images batch 256", [(rows, f"{rows:,} images batch 256") for rows in rounds])


if __name__ == "__main__":
    main()
