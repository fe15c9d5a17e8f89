"""What the benchmarks measure by: their data, their table of medians, and the loss that judges
every subject alike.
"""

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from emberline.cf.quantized import Quantized
from emberline.images.decode import Shape, decode
from emberline.serving import by_factors
from emberline.serving.vectors import Exact

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts() -> Iterator[None]:
    """The folder's modules by the names that they import each other by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield
    for name in (
        "als",
        "chart",
        "data",
        "factors",
        "harness",
        "images",
        "pictures",
        "reader",
        "train",
    ):
        sys.modules.pop(name, None)


@pytest.fixture
def data(scripts: None) -> ModuleType:
    import data

    return data


@pytest.fixture
def harness(scripts: None) -> ModuleType:
    import harness

    return harness


def test_generated_pairs_are_as_many_as_asked_for_all_different_and_fixed_by_the_seed(
    data: ModuleType,
) -> None:
    ratings = data.power_law(500, 300, 10_000, seed=1)
    assert len(set(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))) == 10_000
    assert 0 <= ratings.user.min() <= ratings.user.max() < 500
    assert 0 <= ratings.item.min() <= ratings.item.max() < 300
    again, other = (data.power_law(500, 300, 10_000, seed) for seed in (1, 2))
    for column in ("user", "item", "value"):
        assert np.array_equal(getattr(ratings, column), getattr(again, column))
    assert not np.array_equal(ratings.item, other.item)


def test_few_items_have_most_of_the_ratings(data: ModuleType) -> None:
    counts = np.sort(np.bincount(data.sized(100_000).item))[::-1]
    assert counts[: len(counts) // 10].sum() > 3 * counts.sum() / 10
    assert counts[0] > 10 * np.median(counts)


def test_counts_are_whole_and_stars_come_in_halves(data: ModuleType) -> None:
    assert set(data.sized(20_000).value) >= {1, 2, 3}
    assert set(data.sized(20_000, "explicit").value) == set(np.arange(1, 11, dtype=np.float32) / 2)


def test_more_pairs_than_are_sparse_are_refused(data: ModuleType) -> None:
    with pytest.raises(ValueError, match="not sparse"):
        data.power_law(10, 10, 26, seed=1)


def test_the_dataset_holds_every_rating(data: ModuleType) -> None:
    ratings = data.sized(20_000)
    with data.published(ratings) as stored:
        table = pq.read_table(data.folder_of(stored))
        matrix = data.read_csr(stored, ratings.num_users, ratings.num_items)
    assert [str(field.type) for field in table.schema][:3] == ["int32", "int32", "float"]
    assert np.array_equal(table["user"], ratings.user)
    assert np.array_equal(np.asarray(matrix[ratings.user, ratings.item]).ravel(), ratings.value)
    assert not stored.folder.exists()


def test_a_row_has_medians_and_the_ratios_of_runs_made_side_by_side(harness: ModuleType) -> None:
    ours = [{"seconds": seconds, "quality": 2.0} for seconds in (1.0, 2.0, 9.0)]
    slow = [{"seconds": seconds, "quality": 3.0} for seconds in (10.0, 40.0, 45.0)]
    row = harness.compared("a case", {"emberline": ours, "peer": slow})
    peers = {"peer": {"seconds": 40.0, "quality": 3.0}}
    expected = {
        "case": "a case",
        "subject": "emberline",
        "seconds": 2.0,
        "quality": 2.0,
        "peers": peers,
        "ratios": {"peer": 10.0},
    }
    assert row == expected  # the ratios are 10, 20 and 5


def test_memory_that_a_run_has_given_back_is_still_its_peak(harness: ModuleType) -> None:
    with harness.PeakMemory(with_spark=False) as memory:
        block = np.ones(25 << 20)
        time.sleep(0.3)  # a busy machine looks seldom
        del block
    assert 190 < memory.peaks()["peak_mib"] < 260


@pytest.mark.parametrize("name", ["IMPLICIT", "UNSCALED", "EXPLICIT"])
def test_the_loss_is_the_sum_over_all_pairs(data: ModuleType, name: str) -> None:
    pytest.importorskip("implicit", reason="implicit is in the extra bench")
    import als

    problem, rng = getattr(als, name), np.random.default_rng(3)
    ratings = data.power_law(30, 20, 100, 1, problem.feedback)
    users, items = (rng.normal(0, 1, (count, 4)).astype(np.float32) for count in (30, 20))
    rated = {
        (u, i): float(value)
        for u, i, value in zip(ratings.user, ratings.item, ratings.value, strict=True)
    }
    expected = 0.0
    for u, i in np.ndindex(30, 20):
        score, value = float(users[u] @ items[i]), rated.get((u, i))
        if problem.feedback == "implicit":
            expected += (1 + 10 * (value or 0)) * ((value is not None) - score) ** 2
        elif value is not None:
            expected += (value - score) ** 2
    for side, factors in ((0, users), (1, items)):
        for row, x in enumerate(factors):
            count = sum(pair[side] == row for pair in rated)
            expected += problem.reg_param * (count if problem.reg_exponent else 1) * float(x @ x)
    assert als.loss(problem, ratings, users, items) == pytest.approx(expected, rel=1e-5)


def test_every_decoder_of_pictures_shows_the_same_photos(scripts: None, shared_data: Path) -> None:
    import images

    for file in sorted((shared_data / "flower-photos").glob("*/*.jpg"))[::30]:
        ours = decode(file.read_bytes(), Shape(32, 32, 3, "crop", 50_000_000)).astype(int)
        for theirs in (images.by_pillow(file, 32), images.by_decoder(file, 32)):
            # they cut the middle half a pixel elsewhere
            assert np.abs(ours - theirs).mean() < 10, file


def test_pictures_are_all_different_and_real_and_generated_ones_compress_alike(
    scripts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pictures

    def share(pixels: np.ndarray) -> float:
        return len(pa.Codec("zstd", -1).compress(pixels.tobytes())) / pixels.nbytes

    real = pictures.pictures(1_000)
    monkeypatch.setattr(pictures, "PHOTOS", Path("nowhere"))
    generated = pictures.pictures(1_000)
    assert real.shape == generated.shape == (1_000, 32, 32, 3)
    assert len({picture.tobytes() for picture in generated}) == 1_000
    assert 0.9 < share(real) < 1 and 0.9 < share(generated) < 1


@pytest.fixture
def numbered(scripts: None, tmp_path: Path) -> Path:
    """A root with shards of 2,300 rows, each labelled with its number."""
    import pictures

    pictures.publish(
        tmp_path, "shards_train", pictures.pictures(2_300), np.arange(2_300, dtype=np.int32)
    )
    return tmp_path


def test_every_reader_gives_every_picture_once_an_epoch(
    harness: ModuleType, numbered: Path
) -> None:
    """Judged in their processes, before the first run and after each."""
    pytest.importorskip("datasets", reason="datasets is in the extra bench")
    import reader

    source = reader.Source(numbered, 32)
    with harness.apart(
        [partial(reader.made, name, source) for name in reader.SUBJECTS]
    ) as subjects:
        for subject in subjects:
            figures = subject.run()
            assert figures["cpu_seconds"] > 0 and figures["peak_mib"] > 20


def test_an_epoch_that_is_not_whole_is_no_epoch(numbered: Path) -> None:
    import pictures
    import reader

    pixels, rows = pictures.in_memory(numbered)
    order = np.random.default_rng(1).permutation(2_300)
    expected = reader.seen(iter([(pixels, rows)]))
    reader.judged(
        expected,
        reader.seen(
            iter([(pixels[order[:50]], rows[order[:50]]), (pixels[order[50:]], rows[order[50:]])])
        ),
    )
    twice = np.append(order[:-1], order[0])
    for bad, complaint in (
        (order[:-1], "once"),
        (twice, "once"),
        (np.arange(2_300), "not shuffled"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            reader.judged(expected, reader.seen(iter([(pixels[bad], rows[bad])])))
    with pytest.raises(AssertionError, match="other pictures"):
        reader.judged(expected, reader.seen(iter([(pixels[order] ^ 1, rows[order])])))


@pytest.mark.faults
def test_all_that_train_learn_from_the_same_rows_in_as_many_steps(
    harness: ModuleType, scripts: None, tmp_path: Path
) -> None:
    import train

    with harness.apart(
        [partial(train.made, name, train.written(tmp_path, 330)) for name in train.SUBJECTS]
    ) as subjects:
        losses = {subject.name: subject.run()["loss"] for subject in subjects}
    assert set(losses) == {"emberline", "arrays", "keras"}
    assert max(losses.values()) < 2.3  # that of guessing among ten


@pytest.mark.faults
def test_the_stage_is_timed_by_its_history(scripts: None, tmp_path: Path) -> None:
    import train

    figures = train.stage(train.written(tmp_path, 330), workers=1)
    assert 0 < figures["seconds"] < 60 and figures["loss"] < 2.3


def test_what_int8_costs_is_measured_by_lists_as_they_are_served(scripts: None) -> None:
    """Beside lists that emberline.serving makes, user by user."""
    import factors

    rng, none = np.random.default_rng(4), np.empty(0, np.int32)
    users = rng.normal(size=(300, 8)).astype(np.float32)
    items = (1 + 0.02 * rng.normal(size=(3000, 8))).astype(np.float32)  # much like each other
    ids, may = np.arange(3000, dtype=np.int32), np.ones(3000, bool)
    exact, few = (
        by_factors.Scored("als", ids, vectors, may)
        for vectors in (Exact(items), Quantized.of(items))
    )
    same = 0
    for user in users:
        half = user.astype(np.float16).astype(np.float32)
        one, other = (
            by_factors._best(scored, 0, vector, 10, none).items
            for scored, vector in ((exact, user), (few, half))
        )
        same += len({*one.tolist()} & {*other.tolist()})
    nothing = sp.csr_array((300, 3000), dtype=bool)
    assert 2000 < same < 2990
    assert factors.overlap((np.arange(300), users), (ids, items), nothing) == same / 3000
