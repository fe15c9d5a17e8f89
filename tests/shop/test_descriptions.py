"""What the shop says of items: a part of what no picture shows."""

import numpy as np

from emberline.shop.catalogue import NUM_HIDDEN, make_catalogue
from emberline.shop.descriptions import CATEGORIES, describe

HIDDEN = make_catalogue(1_500, seed=7).hidden
SAID = describe(HIDDEN, seed=7)


def explained(groups: list[str], values: np.ndarray) -> float:
    """The share of the variance of standard normal values that lies between groups."""
    _, places = np.unique(groups, return_inverse=True)
    means = np.bincount(places, values) / np.bincount(places)
    return float(means[places].var())


def test_each_tells_a_part_of_the_hidden_traits_and_no_more() -> None:
    assert set(SAID.categories) == {*CATEGORIES} and min(SAID.prices) > 1
    by_category = [explained(SAID.categories, HIDDEN[:, trait]) for trait in range(NUM_HIDDEN)]
    assert min(by_category[:2]) > 0.2 and max(by_category) < 0.7 and by_category[2] < 0.02
    assert 0.75 < np.corrcoef(np.log(SAID.prices), HIDDEN[:, 2])[0, 1] < 0.95
    heavy = np.array(["heavy" in text or "massive" in text for text in SAID.texts])
    light = np.array(["featherlight" in text or "airy" in text for text in SAID.texts])
    assert heavy.sum() > 200 and light.sum() > 200
    assert HIDDEN[heavy, 1].mean() > 0.7 and HIDDEN[light, 1].mean() < -0.7


def test_the_same_traits_and_seed_say_the_same() -> None:
    assert describe(HIDDEN, seed=7) == SAID and describe(HIDDEN, seed=8) != SAID
