"""The made-up catalogue: what a test or a demo may rely on."""

import colorsys
from dataclasses import asdict

import numpy as np
import pytest

from emberline.shop.catalogue import (
    COLOURS,
    HUES,
    SHAPES,
    SIZES,
    TEXTURES,
    Catalogue,
    make_catalogue,
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(1_500, seed=7)


def _differing_fields(left: Catalogue, right: Catalogue) -> set[str]:
    ours, theirs = asdict(left), asdict(right)
    return {name for name in ours if not np.array_equal(ours[name], theirs[name])}


def test_one_seed_makes_one_catalogue(catalogue: Catalogue) -> None:
    assert _differing_fields(catalogue, make_catalogue(1_500, seed=7)) == set()


def test_another_seed_changes_everything(catalogue: Catalogue) -> None:
    assert _differing_fields(catalogue, make_catalogue(1_500, seed=8)) == set(asdict(catalogue))


def test_titles_name_what_can_be_seen_but_the_texture(catalogue: Catalogue) -> None:
    for index, title in enumerate(catalogue.titles):
        size, colour, shape = title.replace(",", "").split()[:3]
        assert SIZES[catalogue.size[index]] == size.lower()
        assert not any(texture in title.lower() for texture in TEXTURES)
        assert COLOURS[catalogue.colour[index]] == colour
        assert SHAPES[catalogue.shape[index]] == shape


@pytest.mark.parametrize("num_items", [1, 1_500, 10_000])
def test_no_two_items_share_an_id_or_a_title(num_items: int) -> None:
    catalogue = make_catalogue(num_items, seed=3)
    assert len(set(catalogue.item_ids)) == len(set(catalogue.titles)) == len(catalogue) == num_items


@pytest.mark.parametrize("awkward", [",", '"', "&", "<", "à", "ß"])
def test_a_handful_of_titles_needs_quoting_escaping_or_more_than_ascii(
    catalogue: Catalogue, awkward: str
) -> None:
    assert 1 <= sum(awkward in title for title in catalogue.titles) <= 10


def test_ids_tell_nothing_of_the_items(catalogue: Catalogue) -> None:
    numbers = np.array([int(item_id.removeprefix("B-")) for item_id in catalogue.item_ids])
    assert numbers.max() > 10 * len(catalogue), "the numbers should have gaps"
    for value in (np.arange(len(catalogue)), np.log(catalogue.popularity)):
        assert abs(np.corrcoef(numbers, value)[0, 1]) < 0.1


def test_each_item_is_nearest_to_the_hue_that_it_is_named_after(catalogue: Catalogue) -> None:
    hue = 360 * np.array([colorsys.rgb_to_hsv(*rgb)[0] for rgb in catalogue.rgb])
    gap = np.abs((hue[:, None] - np.array(list(HUES.values())) + 180) % 360 - 180)
    assert (gap.argmin(axis=1) == catalogue.colour).mean() > 0.97
    assert np.median(gap.min(axis=1)) > 2, "items of one colour should differ in hue"


def test_few_items_are_popular_and_their_looks_hardly_say_which(catalogue: Catalogue) -> None:
    popularity = np.sort(catalogue.popularity)[::-1]
    assert popularity.sum() == pytest.approx(1)
    assert popularity[:150].sum() > 3 * 0.1
    explained = _explained(
        np.log(catalogue.popularity), catalogue.shape * len(COLOURS) + catalogue.colour
    )
    assert 0.05 < explained < 0.4


def _explained(value: np.ndarray, group: np.ndarray) -> float:
    """The share of the variance that lies between the groups."""
    means = np.bincount(group, value) / np.maximum(np.bincount(group), 1)
    return float(means[group].var() / value.var())


def test_items_of_another_prefix_are_none_of_these(catalogue: Catalogue) -> None:
    arrivals = make_catalogue(50, seed=7, prefix="N")
    assert all(item_id.startswith("N-") for item_id in arrivals.item_ids)
    assert not set(arrivals.item_ids) & set(catalogue.item_ids)
    assert len(make_catalogue(0, seed=7, prefix="N")) == 0
