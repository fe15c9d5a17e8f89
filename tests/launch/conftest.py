"""The package's log lines reach caplog, as if nothing had been configured."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def propagating() -> Iterator[None]:
    logger = logging.getLogger("emberline")
    before, logger.propagate = logger.propagate, True
    yield
    logger.propagate = before
