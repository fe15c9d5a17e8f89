"""A shop whose pipeline has run once, and what was published of it."""

from collections.abc import Iterator

import pytest
from tests.serving.shop import ALS, Shop, run_in

from emberline.publish import releases
from emberline.serving.recommender import Recommender


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(run_in(tmp_path_factory.mktemp("shop"), ALS.format(als="")))


@pytest.fixture(scope="package")
def served(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    """What was published of it."""
    folder = tmp_path_factory.mktemp("served") / "release"
    releases.publish(shop.root, folder, with_defaults=False)
    with Recommender.open(folder) as recommender:
        yield recommender
