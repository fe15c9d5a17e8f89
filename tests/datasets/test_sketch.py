"""What sketches say two sets of rows have in common, beside Python's sets."""

import hashlib
from collections.abc import Iterable

import pytest

from emberline.datasets.sketch import BINS, Sketch


def sketch_of(rows: Iterable[int]) -> Sketch:
    least: dict[int, tuple[int, int]] = {}
    rows, digest = list(rows), 0
    for row in rows:
        place, mark, whole = (
            int.from_bytes(hashlib.sha256(f"{name} {row}".encode()).digest()[:8], "big")
            for name in ("place", "mark", "row")
        )
        digest ^= whole
        least[place % BINS] = min(least.get(place % BINS, (1 << 64, 0)), (place, mark % (1 << 16)))
    return Sketch.of(len(rows), digest, {place: mark for place, (_, mark) in least.items()})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (range(10_000), range(10_000)),
        (range(10_000), range(10_030)),  # a log that grows
        (range(10_000), range(500, 10_600)),  # a window that moves
        (range(10_000), range(30_000)),
        (range(10_000), range(5_000, 15_000)),
        (range(10_000), range(20_000, 40_000)),
        (range(20), range(10, 40)),
    ],
)
def test_what_two_sets_share_is_estimated(one: range, other: range) -> None:
    true = len(set(one) & set(other)) / min(len(one), len(other))
    assert sketch_of(one).shared_with(sketch_of(other)) == pytest.approx(
        true, abs=0.25 if 0 < true < 1 else 0.1
    )
    assert sketch_of(other).shared_with(sketch_of(one)) == sketch_of(one).shared_with(
        sketch_of(other)
    )


def test_the_hash_is_of_all_rows_in_any_order() -> None:
    assert sketch_of([1, 2, 3]) == sketch_of([3, 1, 2])
    assert sketch_of(range(1000)).hash != sketch_of(range(1001)).hash


def test_no_rows_are_like_no_rows_only() -> None:
    nothing = sketch_of([])
    assert nothing.shared_with(nothing) == 1
    assert nothing.shared_with(sketch_of([1])) == sketch_of([1]).shared_with(nothing) == 0
