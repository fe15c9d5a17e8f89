"""Sketches of a log of events, made part by part."""

import pyarrow as pa

from emberline.datasets.sketch import Sketch
from emberline.datasets.sketching import binned, sketch_of


def of(first: int, last: int, value: float = 1.0, parts: int = 2) -> Sketch:
    """Of two thousand pairs per hundred."""
    numbers = range(20 * first, 20 * last)
    table = pa.table(
        {
            "user_id": [f"u{n % 97}" for n in numbers],
            "item_id": [f"i{n}" for n in numbers],
            "value": pa.array([value] * len(numbers), pa.float32()),
        }
    )
    dealt = [table.take(list(range(part, len(table), parts))) for part in range(parts)]
    found = [
        batch for part in dealt for batch in binned(iter(part.to_batches(max_chunksize=700)), 2)
    ]
    return sketch_of(pa.Table.from_batches(found))


def test_a_sketch_tells_the_same_from_more_and_from_other_data() -> None:
    night = of(0, 100)
    assert of(0, 100, parts=5) == night
    assert night.rows == 2000
    next_night, in_a_year, elsewhere = of(0, 103), of(0, 400), of(1000, 1100)
    assert next_night.hash != night.hash
    assert night.shared_with(next_night) > 0.9
    assert night.shared_with(in_a_year) > 0.6
    assert night.shared_with(elsewhere) == 0


def test_other_values_are_other_data_of_the_same_pairs() -> None:
    stars, ones = of(0, 50, value=4.0), of(0, 50)
    assert stars.hash != ones.hash and stars.marks == ones.marks
