"""Warnings are as they were once the last of several threads has left."""

import warnings

import pytest

from emberline.images.silence import WARNINGS_SILENCED


def test_warnings_are_silent_until_the_last_one_leaves() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = warnings.filters
        with WARNINGS_SILENCED:
            WARNINGS_SILENCED.__enter__()
            warnings.warn("first", stacklevel=1)
            WARNINGS_SILENCED.__exit__()
            warnings.warn("still there", stacklevel=1)
        assert warnings.filters is before
        with pytest.raises(UserWarning, match="gone"):
            warnings.warn("gone", stacklevel=1)
