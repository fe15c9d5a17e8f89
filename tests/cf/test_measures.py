"""Matrices of measures as long rows."""

import numpy as np
import pytest

from emberline.cf.measures import Named, long_rows

NAMED = Named("classes", ("cnn",), ("accuracy", "top-5 accuracy"))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("items", [0, 3])
def test_every_value_is_a_row_and_no_item_is_none(items: int, columns: int) -> None:
    ids = np.arange(items, dtype=np.int32)
    values = np.arange(items * 2, dtype=np.float64).reshape(items, 2)
    weights = np.ones(items) if columns == 1 else np.ones((items, 2))
    found = long_rows(NAMED, "cnn", "item", ids, values, weights)
    assert found.num_rows == items * 2
    assert sorted(found["value"].to_pylist()) == values.ravel().tolist()
