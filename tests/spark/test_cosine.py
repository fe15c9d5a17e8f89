"""Neighbours by cosine, beside the textbook's formula on one matrix."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.spark.cosine import neighbors

Ratings = dict[tuple[int, int], float]
Neighbors = list[tuple[int, int, Any]]
ShufflingInto = Callable[[int], AbstractContextManager[None]]

FEW, ALL = 3, 100
LOYAL, LONELY, ZERO, TWIN = 2000, 3000, 4000, 4200  # ids of users and of items alike


def make_ratings() -> Ratings:
    """Random ratings of both signs, and each special case that has a test."""
    rng = np.random.default_rng(1)
    ids = [0, 1, 4, 6, 1023, 1024, 4096, 5000]
    ratings = {(user, item): float(rng.normal(1, 2)) for user in ids for item in ids if rng.random() < 0.6}
    ratings |= {(user, TWIN): value for (user, item), value in ratings.items() if item == 4}
    ratings |= {(TWIN, item): value for (user, item), value in ratings.items() if user == 6}
    ratings |= {(LOYAL, 1): 2.5, (0, LOYAL): -1.5}
    ratings |= {(LONELY, LONELY): 4, (LONELY, LONELY + 1): 3, (LONELY + 1, LONELY): 3, (LONELY + 1, LONELY + 1): 4}
    ratings |= {(ZERO, 0): 0, (ZERO, 1): 0, (0, ZERO): 0, (1, ZERO): 0, (ZERO, ZERO): 0}
    return ratings | {(1, 6): 0.0}


RATINGS = make_ratings()


def frame_of(spark: SparkSession, ratings: Ratings) -> DataFrame:
    user, item = (pa.array([pair[side] for pair in ratings], pa.int32()) for side in (0, 1))
    value = pa.array(ratings.values(), pa.float32())
    return spark.createDataFrame(pa.table([user, item, value], names=["user", "item", "value"]))


def textbook(side: int, top_k: int) -> Neighbors:
    """`r_i . r_j / (|r_i| |r_j|)` for all pairs of users (side 0) or items (side 1), the positive ones sorted."""
    own, other = (sorted({pair[s] for pair in RATINGS}) for s in (side, 1 - side))
    matrix = np.zeros((len(own), len(other)))
    for pair, value in RATINGS.items():
        matrix[own.index(pair[side]), other.index(pair[1 - side])] = np.float32(value)
    found: Neighbors = []
    for i, left in enumerate(matrix):
        lengths = [np.sqrt(left @ left) * np.sqrt(right @ right) for right in matrix]
        similarities = [right @ left / length if length else 0.0 for right, length in zip(matrix, lengths, strict=True)]
        order = sorted((-round(similarity, 6), own[j]) for j, similarity in enumerate(similarities) if j != i)
        found += [(own[i], neighbor, -negative) for negative, neighbor in order[:top_k] if negative < 0]
    return found


@pytest.fixture(scope="module")
def found(spark: SparkSession, shuffling_into: ShufflingInto) -> dict[int, dict[str, Neighbors]]:
    """Neighbours by number of partitions and side: few of each item's and all of each user's."""
    found = {}
    for partitions in (1, 3, 7):
        with shuffling_into(partitions):
            found[partitions] = neighbors_of_both(spark, partitions)
    return found


def neighbors_of_both(spark: SparkSession, partitions: int) -> dict[str, Neighbors]:
    ratings = frame_of(spark, RATINGS).repartition(partitions)
    items = neighbors(ratings, "item", "user", FEW).withColumnRenamed("item", "own").withColumn("side", F.lit("item"))
    users = neighbors(ratings, "user", "item", ALL).withColumnRenamed("user", "own").withColumn("side", F.lit("user"))
    rows = items.unionByName(users).collect()
    spark.catalog.clearCache()
    ordered = sorted((row["own"], -row["similarity"], row["neighbor"], row["side"]) for row in rows)
    return {side: [(own, other, -negative) for own, negative, other, s in ordered if s == side] for side in ("item", "user")}


def approximately(neighbors: Neighbors) -> Neighbors:
    return [(own, neighbor, pytest.approx(similarity, abs=2e-6)) for own, neighbor, similarity in neighbors]


def test_item_neighbors_are_the_textbooks(found: dict[int, dict[str, Neighbors]]) -> None:
    assert found[3]["item"] == approximately(textbook(1, FEW))


def test_user_neighbors_are_the_textbooks(found: dict[int, dict[str, Neighbors]]) -> None:
    assert found[3]["user"] == approximately(textbook(0, ALL))


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_number_of_partitions_does_not_matter(found: dict[int, dict[str, Neighbors]], partitions: int) -> None:
    assert found[partitions] == found[3]


def test_nobody_is_their_own_neighbor_and_similarities_are_above_zero_and_at_most_one(
    found: dict[int, dict[str, Neighbors]],
) -> None:
    for side in ("item", "user"):
        assert all(own != neighbor for own, neighbor, _ in found[3][side])
        assert all(0 < similarity <= 1 + 1e-6 for _, _, similarity in found[3][side])


def test_three_four_and_four_three_are_at_24_25ths(found: dict[int, dict[str, Neighbors]]) -> None:
    expected = [(LONELY, LONELY + 1, 0.96), (LONELY + 1, LONELY, 0.96)]
    for side in ("item", "user"):
        assert [row for row in found[3][side] if row[0] in (LONELY, LONELY + 1)] == approximately(expected)


def test_ties_go_to_the_smaller_id(found: dict[int, dict[str, Neighbors]]) -> None:
    """Items 4 and TWIN have the same ratings, so do users 6 and TWIN: whoever is near one is as near to the other."""
    for side, original in (("item", 4), ("user", 6)):
        places = {(own, neighbor): place for place, (own, neighbor, _) in enumerate(found[3][side])}
        both = [own for own, neighbor in places if neighbor == TWIN and (own, original) in places]
        assert both
        assert all(places[own, TWIN] == places[own, original] + 1 for own in both)
        assert found[3][side][places[original, TWIN]] == (original, TWIN, pytest.approx(1))


def test_one_rating_is_enough_for_neighbors(found: dict[int, dict[str, Neighbors]]) -> None:
    """User LOYAL has rated item 1 only: near are users who like it, the more the larger its share of their ratings' length."""
    lengths = {user: np.sqrt(sum(v * v for (u, _), v in RATINGS.items() if u == user)) for user, _ in RATINGS}
    fans = {user: value / lengths[user] for (user, item), value in RATINGS.items() if item == 1 and value > 0 and user != LOYAL}
    assert {other: similarity for own, other, similarity in found[3]["user"] if own == LOYAL} == pytest.approx(fans, abs=2e-6)
    assert [row for row in found[3]["item"] if row[0] == LOYAL]


def test_rows_of_zeros_have_and_are_no_neighbors(found: dict[int, dict[str, Neighbors]]) -> None:
    for side in ("item", "user"):
        assert all(ZERO not in row[:2] for row in found[3][side])
