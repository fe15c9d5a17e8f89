"""Neighbours by cosine, beside the textbook's formula on one matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics.pairwise import cosine_similarity
from tests.flows import given

from emberline.datasets import manifest as manifests
from emberline.errors import DataError
from emberline.flow.here import Here
from emberline.flow.rows import Flow, Rows
from emberline.neighbors.packing import Grid, checked, count
from emberline.neighbors.search import neighbors
from emberline.sections.cosine import CosineConfig
from emberline.spark.flow import SparkFlow

Matrix = npt.NDArray[np.float64]
Publish = Callable[..., None]
Run = Callable[..., Any]
Read = Callable[[str], pa.Table]
Ratings = dict[tuple[int, int], float]
Neighbors = list[tuple[int, int, Any]]

FEW, ALL = 3, 100
LOYAL, LONELY, ZERO, TWIN = 2000, 3000, 4000, 4200  # ids of users and of items alike


def make_ratings() -> Ratings:
    """Random ratings of both signs, and each special case that has a test."""
    rng = np.random.default_rng(1)
    ids = [0, 1, 4, 6, 1023, 1024, 4096, 5000]
    ratings = {
        (user, item): float(rng.normal(1, 2)) for user in ids for item in ids if rng.random() < 0.6
    }
    ratings |= {(user, TWIN): value for (user, item), value in ratings.items() if item == 4}
    ratings |= {(TWIN, item): value for (user, item), value in ratings.items() if user == 6}
    ratings |= {(LOYAL, 1): 2.5, (0, LOYAL): -1.5}
    ratings |= {
        (LONELY, LONELY): 4,
        (LONELY, LONELY + 1): 3,
        (LONELY + 1, LONELY): 3,
        (LONELY + 1, LONELY + 1): 4,
    }
    ratings |= {(ZERO, 0): 0, (ZERO, 1): 0, (0, ZERO): 0, (1, ZERO): 0, (ZERO, ZERO): 0}
    return ratings | {(1, 6): 0.0}


RATINGS = make_ratings()


def table_of(ratings: Ratings) -> pa.Table:
    user, item = (pa.array([pair[side] for pair in ratings], pa.int32()) for side in (0, 1))
    value = pa.array(ratings.values(), pa.float32())
    return pa.table([user, item, value], names=["user", "item", "value"])


def textbook(side: int, top_k: int) -> Neighbors:
    """`r_i . r_j / (|r_i| |r_j|)` for all pairs of users (side 0) or items (side 1), the
    positive ones sorted.
    """
    own, other = (sorted({pair[s] for pair in RATINGS}) for s in (side, 1 - side))
    matrix = np.zeros((len(own), len(other)))
    for pair, value in RATINGS.items():
        matrix[own.index(pair[side]), other.index(pair[1 - side])] = np.float32(value)
    found: Neighbors = []
    for i, left in enumerate(matrix):
        lengths = [np.sqrt(left @ left) * np.sqrt(right @ right) for right in matrix]
        similarities = [
            right @ left / length if length else 0.0
            for right, length in zip(matrix, lengths, strict=True)
        ]
        order = sorted(
            (-round(similarity, 6), own[j]) for j, similarity in enumerate(similarities) if j != i
        )
        found += [
            (own[i], neighbor, -negative) for negative, neighbor in order[:top_k] if negative < 0
        ]
    return found


PLAIN: dict[str, Any] = {"weighting": "none", "shrinkage": 0.0}


CUTS = [1, 3, 7]
Found = dict[tuple[str, int], dict[str, Neighbors]]


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> Found:
    """Neighbours by engine, parts and side: few of each item's and all of each user's."""
    found = {("spark", parts): neighbors_of_both(SparkFlow(spark), parts) for parts in CUTS}
    with Here(memory=1 << 30, cores=2) as here:
        found |= {("here", parts): neighbors_of_both(here, parts) for parts in CUTS}
    return found


def neighbors_of_both(flow: Flow, parts: int) -> dict[str, Neighbors]:
    ratings, grid = given(flow, table_of(RATINGS), parts), Grid(rows=3, columns=2)
    wanted = (("item", "user", FEW), ("user", "item", ALL))
    return {
        side: sorted_rows(
            neighbors(flow, ratings, side, other, CosineConfig(top_k=top_k, **PLAIN), grid), side
        )
        for side, other, top_k in wanted
    }


def sorted_rows(rows: Rows, side: str) -> Neighbors:
    found = rows.table().to_pylist()
    ordered = sorted((row[side], -row["similarity"], row["neighbor"]) for row in found)
    return [(own, other, -negative) for own, negative, other in ordered]


def approximately(neighbors: Neighbors) -> Neighbors:
    return [
        (own, neighbor, pytest.approx(similarity, abs=2e-6))
        for own, neighbor, similarity in neighbors
    ]


def test_item_neighbors_are_the_textbooks(found: Found) -> None:
    assert found["here", 3]["item"] == approximately(textbook(1, FEW))


def test_user_neighbors_are_the_textbooks(found: Found) -> None:
    assert found["here", 3]["user"] == approximately(textbook(0, ALL))


@pytest.mark.parametrize("parts", CUTS)
@pytest.mark.parametrize("engine", ["here", "spark"])
def test_neither_the_number_of_parts_nor_the_engine_matters(
    found: Found, engine: str, parts: int
) -> None:
    assert found[engine, parts] == found["here", 3]


def test_nobody_is_their_own_neighbor_and_similarities_are_above_zero_and_at_most_one(
    found: Found,
) -> None:
    for side in ("item", "user"):
        assert all(own != neighbor for own, neighbor, _ in found["here", 3][side])
        assert all(0 < similarity <= 1 + 1e-6 for _, _, similarity in found["here", 3][side])


def test_three_four_and_four_three_are_at_24_25ths(found: Found) -> None:
    expected = [(LONELY, LONELY + 1, 0.96), (LONELY + 1, LONELY, 0.96)]
    for side in ("item", "user"):
        assert [
            row for row in found["here", 3][side] if row[0] in (LONELY, LONELY + 1)
        ] == approximately(expected)


def test_ties_go_to_the_smaller_id(found: Found) -> None:
    """Items 4 and TWIN have the same ratings, so do users 6 and TWIN: whoever is near one is as
    near to the other.
    """
    for side, original in (("item", 4), ("user", 6)):
        places = {
            (own, neighbor): place
            for place, (own, neighbor, _) in enumerate(found["here", 3][side])
        }
        both = [own for own, neighbor in places if neighbor == TWIN and (own, original) in places]
        assert both
        assert all(places[own, TWIN] == places[own, original] + 1 for own in both)
        assert found["here", 3][side][places[original, TWIN]] == (original, TWIN, pytest.approx(1))


def test_one_rating_is_enough_for_neighbors(found: Found) -> None:
    """User LOYAL has rated item 1 only: near are users who like it, the more the larger its
    share of their ratings' length.
    """
    lengths = {
        user: np.sqrt(sum(v * v for (u, _), v in RATINGS.items() if u == user))
        for user, _ in RATINGS
    }
    fans = {
        user: value / lengths[user]
        for (user, item), value in RATINGS.items()
        if item == 1 and value > 0 and user != LOYAL
    }
    assert {
        other: similarity for own, other, similarity in found["here", 3]["user"] if own == LOYAL
    } == pytest.approx(fans, abs=2e-6)
    assert [row for row in found["here", 3]["item"] if row[0] == LOYAL]


def test_rows_of_zeros_have_and_are_no_neighbors(found: Found) -> None:
    for side in ("item", "user"):
        assert all(ZERO not in row[:2] for row in found["here", 3][side])


# --------------------------------------------------------------------------------------------------
# weighted, centred, damped, capped

STARS: Ratings = {
    (user, item): float(np.random.default_rng([user, item]).integers(1, 6))
    for user in range(40)
    for item in range(25)
    if np.random.default_rng([user, item, 1]).random() < 0.4
}


def dense(ratings: Ratings) -> Matrix:
    """(users, items), 0 where there is no rating."""
    matrix = np.zeros((40, 25))
    for pair, value in ratings.items():
        matrix[pair] = value
    return matrix


def centered_on_users(stars: Matrix) -> Matrix:
    return np.where(
        stars > 0,
        stars - stars.sum(axis=1, keepdims=True) / (stars > 0).sum(axis=1, keepdims=True),
        0,
    )


def of_tf_idf(stars: Matrix) -> Matrix:
    return np.sqrt(stars) * np.log(25 / (1 + (stars > 0).sum(axis=1, keepdims=True)))


def of_bm25(stars: Matrix) -> Matrix:
    """Of users, whose terms are the items."""
    lengths = stars.sum(axis=1, keepdims=True)
    idf = np.maximum(np.log(40 / (1 + (stars > 0).sum(axis=0))), 0)
    return stars * 2.2 / (1.2 * (0.25 + 0.75 * lengths / lengths.mean()) + stars) * idf


def best_of(
    rows: Matrix, pattern: Matrix, shrinkage: float, min_support: int, top_k: int
) -> dict[int, dict[int, Any]]:
    """By scikit-learn, for each row, its neighbours and their similarities, damped by how many
    columns they share.
    """
    support = (pattern > 0).astype(float) @ (pattern > 0).T
    damped = (
        cosine_similarity(rows)
        * support
        / np.maximum(support + shrinkage, 1)
        * (support >= min_support)
    )
    np.fill_diagonal(damped, 0)
    chosen = {
        row: [other for other in np.argsort(-damped[row]) if damped[row, other] > 1e-7][:top_k]
        for row in range(len(rows))
    }
    return {
        row: {int(j): pytest.approx(damped[row, j], abs=1e-6) for j in others}
        for row, others in chosen.items()
        if others
    }


def as_dicts(rows: Rows, side: str) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = {}
    for row in rows.table().to_pylist():
        found.setdefault(row[side], {})[row["neighbor"]] = row["similarity"]
    return found


def test_adjusted_cosine_with_shrinkage_and_support_is_scikit_learns(flow: Flow) -> None:
    config = CosineConfig(top_k=8, center="user", shrinkage=10.0, min_support=5)
    found = neighbors(flow, given(flow, table_of(STARS)), "item", "user", config, Grid(3, 2))
    stars = dense(STARS)
    assert as_dicts(found, "item") == best_of(centered_on_users(stars).T, stars.T, 10, 5, 8)


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_weighted_neighbors_are_scikit_learns(flow: Flow) -> None:
    ratings, stars = given(flow, table_of(STARS)), dense(STARS)
    items = neighbors(
        flow,
        ratings,
        "item",
        "user",
        CosineConfig(top_k=8, weighting="tf-idf", shrinkage=0.0),
        Grid(2, 1),
    )
    assert as_dicts(items, "item") == best_of(of_tf_idf(stars).T, stars.T, 0, 1, 8)
    users = neighbors(
        flow, ratings, "user", "item", CosineConfig(top_k=8, shrinkage=0.0), Grid(2, 1)
    )
    assert as_dicts(users, "user") == best_of(of_bm25(stars), stars, 0, 1, 8)


def test_one_common_rare_item_makes_nobody_most_alike_by_default(flow: Flow) -> None:
    """Items 0 and 1 share five users, who have rated others, too; items 0 and 9 share one, who
    is all that 9 has.
    """
    few = {(user, item): 1.0 for user in range(5) for item in (0, 1, 10 + user)} | {
        (5, 0): 1.0,
        (5, 9): 1.0,
    }
    by_default, plain = (
        as_dicts(
            neighbors(flow, given(flow, table_of(few)), "item", "user", config, Grid(1, 1)), "item"
        )
        for config in (CosineConfig(), CosineConfig(shrinkage=0.0))
    )
    assert by_default[0][1] > 3 * by_default[0][9]
    assert plain[0][1] < 3 * plain[0][9]


@pytest.mark.parametrize(("values", "weighting"), [((1.0, 2.0), "bm25"), ((1.0, -2.0), "none")])
def test_values_below_zero_are_not_weighted_unless_told(
    flow: Flow, values: tuple[float, float], weighting: str
) -> None:
    ratings = given(flow, table_of({(0, 0): values[0], (0, 1): values[1]}))
    assert checked(ratings, CosineConfig()).weighting == weighting


def test_a_cap_that_bites_says_what_it_costs(
    publish: Publish, run: Run, read: Read, root: Path
) -> None:
    rows = [{"user": user, "item": item, "value": value} for (user, item), value in STARS.items()]
    publish(root, "split-ratings", "ratings", rows)
    (outcome,) = run(
        "[cosine]\nsides = ['items']\ntop_k = 5\nweighting = 'none'\nshrinkage = 0.0\nmax_ratings"
        " = 6\n"
    )
    info = manifests.load(root, "item_neighbors").manifest.info
    stars = dense(STARS)
    assert info["ratings_left_out"] == np.maximum((stars > 0).sum(axis=1) - 6, 0).sum() > 0
    exact = {
        (own, other)
        for own, others in best_of(stars.T, stars.T, 0, 1, 5).items()
        for other in others
    }
    capped = {(row["item"], row["neighbor"]) for row in read("item_neighbors").to_pylist()}
    assert info["recall"] == pytest.approx(len(exact & capped) / len(exact))
    assert 0.2 < info["recall"] < 0.9
    assert outcome.metrics["item_neighbors"] == info


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
@pytest.mark.parametrize("blocks", [1, 3])
def test_ratings_and_ids_are_counted_over_blocks(flow: Flow, blocks: int) -> None:
    ratings, stars = given(flow, table_of(STARS), 3), dense(STARS)
    counted = count(ratings, "user", blocks, limit=6)
    assert counted.ids == (stars > 0).any(axis=1).sum()
    assert counted.ratings == len(STARS)
    assert counted.total == pytest.approx(stars.sum())
    assert counted.left_out == np.maximum((stars > 0).sum(axis=1) - 6, 0).sum() > 0
    assert count(ratings, "user", blocks, limit=25).left_out == 0
    assert count(ratings, "user", blocks).left_out == 0


@pytest.mark.parametrize(
    ("value", "weighting", "message"),
    [
        (float("nan"), "none", "1 values are not finite numbers"),
        (float("-inf"), "tf-idf", "1 values are not finite numbers"),
        (-1.0, "bm25", '1 values are below 0, which cosine.weighting = "bm25" is not made for'),
    ],
)
def test_values_without_a_cosine_are_refused(
    flow: Flow, value: float, weighting: str, message: str
) -> None:
    ratings = given(flow, table_of({(0, 0): 1.0, (0, 1): value}))
    with pytest.raises(DataError, match=message):
        checked(ratings, CosineConfig.model_validate({"weighting": weighting}))
