"""The id maps: dense, in the order of text, and append-only."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyspark.sql import DataFrame, SparkSession

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.errors import DataError
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.spark.ids import Known, extend

Map = dict[int, str]
Publish = Callable[..., None]


def _frame(spark: SparkSession, ids: list[str], partitions: int = 2) -> DataFrame:
    return spark.createDataFrame([(text,) for text in ids], "item_id string").repartition(
        partitions
    )


def _map(frame: DataFrame) -> Map:
    assert frame.columns == ["item", "item_id"]
    rows = frame.collect()
    assert len({item for item, _ in rows}) == len({item_id for _, item_id in rows}) == len(rows)
    return {row[0]: row[1] for row in rows}


def _extend(spark: SparkSession, previous: Map | None, ids: list[str], partitions: int = 2) -> Map:
    known = (
        None
        if previous is None
        else spark.createDataFrame(list(previous.items()), "item int, item_id string")
    )
    return _map(
        extend(
            Known(known, 0), _frame(spark, ids, partitions), "item_id", "item", DataFrame.persist
        )
    )


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
        assert (
            _extend(spark, None, random.Random(partitions).sample(ids, len(ids)), partitions)
            == expected
        )


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
    assert (
        _extend(spark, {0: "b", 1: "a"}, [])
        == _extend(spark, {0: "b", 1: "a"}, ["a"])
        == {0: "b", 1: "a"}
    )


def test_no_ids_make_an_empty_map_that_can_grow(spark: SparkSession) -> None:
    assert _extend(spark, None, []) == {}
    assert _extend(spark, {}, ["a"]) == {0: "a"}


def test_other_columns_of_the_previous_map_are_left_out(spark: SparkSession) -> None:
    known = spark.createDataFrame([("Lamp", 0, "l")], "title string, item int, item_id string")
    assert _map(
        extend(Known(known, 0), _frame(spark, ["k"]), "item_id", "item", DataFrame.persist)
    ) == {0: "l", 1: "k"}


def test_more_ids_than_an_int32_can_number_are_a_data_error(spark: SparkSession) -> None:
    assert _extend(spark, {2**31 - 3: "b"}, ["a"]) == {2**31 - 3: "b", 2**31 - 2: "a"}
    with pytest.raises(
        DataError,
        match="2147483648 ids in item_id: an index is an int32, so 2147483647 is the most",
    ):
        _extend(spark, {2**31 - 3: "b"}, ["a", "c"])


# --------------------------------------------------------------------------------------------------
# one index space over several datasets


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return file.getvalue()


def _prepare(folder: Path, section: str, items: list[str]) -> dict[str, Map]:
    """Run the stage of one section on the items; the maps of all datasets that there are then."""
    if section == "images":
        pq.write_table(
            pa.table({"i": items, "p": [_png()] * len(items)}), folder / "images.parquet"
        )
        settings: dict[str, Any] = {
            "path": f"{folder}/images.parquet",
            "columns": {"item_id": "i", "image": "p"},
        }
    else:
        (folder / f"{section}.csv").write_text("i\n" + "\n".join(items))
        source: dict[str, Any] = {"path": f"{folder}/{section}.csv"}
        settings = (
            {"items": source | {"columns": {"id": "i"}}}
            if section == "attributes"
            else source | {"value": "one"}
        )
        if section == "ratings":
            settings["columns"] = {"user_id": "i", "item_id": "i"}
    config = Config.model_validate({section: settings})
    root = folder / "root"
    runner.run(config, root, stages.select(config))
    return {
        name: _read_map(root, name)
        for name in ("items", "item_attributes", "images")
        if manifests.exists(root, name)
    }


def _read_map(root: Path, name: str) -> Map:
    rows = [
        row for path in manifests.load(root, name).paths for row in pq.read_table(path).to_pylist()
    ]
    assert len({row["item"] for row in rows}) == len(rows)
    return {row["item"]: row["item_id"] for row in rows}


def _joint(maps: dict[str, Map]) -> Map:
    """All the maps as one; none gives an id another index than the others do, or an index to
    another id.
    """
    pairs = {pair for single in maps.values() for pair in single.items()}
    assert len(dict(pairs)) == len({item_id for _, item_id in pairs}) == len(pairs)
    return dict(pairs)


def test_an_item_keeps_the_index_that_pictures_or_attributes_gave_it_when_it_is_rated(
    spark: SparkSession, tmp_path: Path
) -> None:
    seen = _prepare(tmp_path, "images", ["p2", "p1", "both"])["images"]
    assert seen == {0: "both", 1: "p1", 2: "p2"}
    described = _prepare(tmp_path, "attributes", ["a", "both", "z"])["item_attributes"]
    assert described == {0: "both", 3: "a", 4: "z"}
    rated = _prepare(tmp_path, "ratings", ["b", "z", "p1", "both"])
    assert rated["items"] == {0: "both", 1: "p1", 4: "z", 5: "b"}
    assert _joint(rated) == {0: "both", 1: "p1", 2: "p2", 3: "a", 4: "z", 5: "b"}


@pytest.mark.faults
def test_an_index_whose_item_has_gone_is_given_to_no_other(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert _prepare(tmp_path, "images", ["a", "b"])["images"] == {0: "a", 1: "b"}
    assert _prepare(tmp_path, "images", ["a"])["images"] == {0: "a"}
    assert _prepare(tmp_path, "images", ["a", "c"])["images"] == {0: "a", 2: "c"}


@pytest.mark.faults
def test_pictures_and_attributes_of_rated_items_have_the_ratings_indices(
    spark: SparkSession, publish: Publish, tmp_path: Path
) -> None:
    publish(
        tmp_path / "root",
        "prepare-ratings",
        "items",
        [{"item": n, "item_id": item_id} for n, item_id in enumerate("mn")],
    )
    _prepare(tmp_path, "attributes", ["n", "a"])
    maps = _prepare(tmp_path, "images", ["a", "0", "m"])
    assert maps["item_attributes"] == {1: "n", 2: "a"}
    assert maps["images"] == {0: "m", 2: "a", 3: "0"}
    assert _joint(maps) == dict(enumerate(["m", "n", "a", "0"]))


@pytest.mark.parametrize("other", [{"item": 1, "item_id": "a"}, {"item": 0, "item_id": "b"}])
def test_datasets_that_contradict_each_other_are_a_data_error(
    spark: SparkSession, publish: Publish, tmp_path: Path, other: dict[str, Any]
) -> None:
    publish(tmp_path / "root", "prepare-ratings", "items", [{"item": 0, "item_id": "a"}])
    publish(tmp_path / "root", "prepare-images", "images", [other | {"pixels": b"."}])
    with pytest.raises(
        DataError, match="give one item two indices: one was restored from another root"
    ):
        _prepare(tmp_path, "attributes", ["a"])
