"""The id maps: dense, in the order of text, and append-only."""

import random

import pytest
from pyspark.sql import DataFrame, SparkSession

from emberline.errors import DataError
from emberline.spark.ids import extend

Map = dict[int, str]


def _frame(spark: SparkSession, ids: list[str], partitions: int = 2) -> DataFrame:
    return spark.createDataFrame([(text,) for text in ids], "item_id string").repartition(partitions)


def _map(frame: DataFrame) -> Map:
    assert frame.columns == ["item", "item_id"]
    rows = frame.collect()
    assert len({item for item, _ in rows}) == len({item_id for _, item_id in rows}) == len(rows)
    return {row[0]: row[1] for row in rows}


def _extend(spark: SparkSession, previous: Map | None, ids: list[str], partitions: int = 2) -> Map:
    known = None if previous is None else spark.createDataFrame(list(previous.items()), "item int, item_id string")
    return _map(extend(known, _frame(spark, ids, partitions), "item_id", "item", DataFrame.persist))


def _random_ids(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("aZ09-_ éß日😀", k=rng.randint(1, 8))) for _ in range(count)]


def test_ids_are_numbered_from_zero_in_the_order_of_their_text(spark: SparkSession) -> None:
    ids = [*_random_ids(700, seed=1), "10", "9", "a", "Z", "", " "]
    assert _extend(spark, None, ids * 2) == dict(enumerate(sorted(set(ids))))


def test_the_numbers_do_not_depend_on_partitions_or_order(spark: SparkSession) -> None:
    ids = _random_ids(50, seed=2)
    expected = dict(enumerate(sorted(set(ids))))
    for partitions in (1, 9, 60):
        assert _extend(spark, None, random.Random(partitions).sample(ids, len(ids)), partitions) == expected


def test_more_shuffle_partitions_than_ids_leave_no_gap(spark: SparkSession) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "40")
        spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
        assert _extend(spark, None, ["b", "d", "a", "c", "e", "a"]) == dict(enumerate("abcde"))
        assert _extend(spark, {0: "c", 1: "x"}, ["b", "c", "d", "y"]) == dict(enumerate("cxbdy"))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
        spark.conf.unset("spark.sql.adaptive.coalescePartitions.enabled")


def test_an_id_keeps_its_number_over_runs_also_when_it_is_away_for_one(spark: SparkSession) -> None:
    first = _extend(spark, None, ["m", "z", "c"])
    second = _extend(spark, first, ["a", "z", "b"])
    third = _extend(spark, second, ["c", "aa", "m", "0"])
    assert first == dict(enumerate("cmz"))
    assert second == dict(enumerate(["c", "m", "z", "a", "b"]))
    assert third == dict(enumerate(["c", "m", "z", "a", "b", "0", "aa"]))


def test_nothing_new_leaves_the_map_as_it_is(spark: SparkSession) -> None:
    assert _extend(spark, {0: "b", 1: "a"}, []) == _extend(spark, {0: "b", 1: "a"}, ["a"]) == {0: "b", 1: "a"}


def test_no_ids_make_an_empty_map_that_can_grow(spark: SparkSession) -> None:
    assert _extend(spark, None, []) == {}
    assert _extend(spark, {}, ["a"]) == {0: "a"}


def test_other_columns_of_the_previous_map_are_left_out(spark: SparkSession) -> None:
    known = spark.createDataFrame([("Lamp", 0, "l")], "title string, item int, item_id string")
    assert _map(extend(known, _frame(spark, ["k"]), "item_id", "item", DataFrame.persist)) == {0: "l", 1: "k"}


def test_more_ids_than_an_int32_can_number_are_a_data_error(spark: SparkSession) -> None:
    assert _extend(spark, {2**31 - 3: "b"}, ["a"]) == {2**31 - 3: "b", 2**31 - 2: "a"}
    with pytest.raises(DataError, match="2147483648 ids in item_id: an index is an int32, so 2147483647 is the most"):
        _extend(spark, {2**31 - 3: "b"}, ["a", "c"])
