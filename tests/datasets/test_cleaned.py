"""What a table of ratings says of its values."""

from pathlib import Path

import pytest

from emberline.datasets.cleaned import cleaning_of, has_ratings
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"value": "rating"}, True), ({"value": "count"}, False), ({}, False)],
)
def test_values_are_what_the_run_that_made_the_table_was_told(
    settings: dict[str, str], expected: bool
) -> None:
    made = ProducedBy("split-ratings", "", "", {"by": "fraction"})
    said = {"cleaning": settings}
    table = Dataset(Path("unused"), Manifest("ratings", "table", [], 0, [], made, info=said))
    assert cleaning_of(table) == settings
    assert has_ratings(table) is expected
