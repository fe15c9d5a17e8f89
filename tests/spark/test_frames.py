"""Frames at the border: refused where they do not fit, written whole, read back as they were."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline import stages
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Spellings
from emberline.datasets.parts import PARTITION, write_parts
from emberline.datasets.schema import ITEM_FACTORS, RATINGS, TABLES
from emberline.errors import SchemaError
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import StageRun, begin
from emberline.sections.config import Config
from emberline.spark import frames

Publish = Callable[..., None]
Run = Callable[..., Any]

RATINGS_DDL = "user int, item int, value float, timestamp timestamp"
ROWS = [
    (3, 1, 0.5, datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
    (1, 2, -1.25, None),
    (2**31 - 1, 0, 3e38, datetime(1960, 1, 1, tzinfo=UTC)),
]


def _stage_run(root: Path) -> StageRun[Any]:
    ratings = {"path": "in.csv", "columns": {"user_id": "u", "item_id": "i"}, "value": "one"}
    config = Config.model_validate({"ratings": ratings, "als": {}})
    (stage,) = stages.select(config, "prepare-ratings")
    identity = ("0" * 64, "20200101T000000-00000000")
    return begin(config, stage, Roots(root), Inputs(), identity=identity)


def _read_parts(dataset: manifests.Dataset) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in dataset.paths])


@pytest.fixture
def ratings(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, RATINGS_DDL)


def test_conform_selects_the_schemas_columns_in_its_order(ratings: DataFrame) -> None:
    mixed = ratings.select("timestamp", F.lit("x").alias("extra"), "value", "item", "user")
    assert frames.conform(mixed, RATINGS, "ratings").columns == [
        "user",
        "item",
        "value",
        "timestamp",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.drop("item"),
            r"ratings: column item is missing \(found: user, value, timestamp\)",
        ),
        (
            lambda f: f.withColumn("user", F.col("user").cast("long")),
            "ratings: column user is bigint, expected int",
        ),
        (
            lambda f: f.withColumn("value", F.lit(1.0)),
            "ratings: column value is double, expected float",
        ),
        (lambda f: f.withColumnRenamed("item", "Item"), "ratings: column item is missing"),
    ],
)
def test_a_column_that_is_missing_or_of_another_type_is_a_schema_error(
    ratings: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        frames.conform(change(ratings), RATINGS, "ratings")


def test_factors_of_another_number_type_are_a_schema_error(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(0, [1.0])], "item int, factors array<double>")
    with pytest.raises(SchemaError, match="column factors is array<double>, expected array<float>"):
        frames.conform(frame, ITEM_FACTORS, "item_factors")


# Spark has no half floats, in which releases may have users' factors
@pytest.mark.parametrize("name", sorted(TABLES.keys() - {"quantized_user_factors"}))
def test_every_table_has_a_spark_schema(spark: SparkSession, name: str) -> None:
    empty = spark.createDataFrame([], frames.spark_schema(TABLES[name]))
    assert frames.conform(empty, TABLES[name], name).columns == TABLES[name].names


def test_what_was_written_is_read_back(
    spark: SparkSession, ratings: DataFrame, tmp_path: Path
) -> None:
    run = _stage_run(tmp_path)
    dataset = frames.write(ratings.repartition(2), run, "ratings", Spellings(3), seed=7)
    assert sorted(
        map(tuple, frames.read(spark, dataset).select("user", "item", "value").collect())
    ) == [
        (user, item, pa.scalar(value, pa.float32()).as_py())
        for user, item, value, _ in sorted(ROWS)
    ]
    table = _read_parts(dataset).sort_by("user")
    assert table.schema.equals(RATINGS)
    assert table["timestamp"].to_pylist() == [row[3] for row in sorted(ROWS)]
    assert (dataset.rows, dataset.manifest.seed, dataset.manifest.info) == (3, 7, {"joined": 3})


def test_a_written_frame_is_a_dataset_once_its_manifest_is_committed(
    ratings: DataFrame, tmp_path: Path
) -> None:
    run = _stage_run(tmp_path)
    written = frames.write(ratings, run, "ratings")
    assert not manifests.exists(tmp_path, "ratings")
    manifests.commit(tmp_path, run.outputs.manifests["ratings"])
    committed = manifests.load(tmp_path, "ratings")
    damage.verify(committed)
    assert committed == written


def test_parts_follow_the_order_of_partitions_and_hold_many_batches(
    spark: SparkSession, tmp_path: Path
) -> None:
    users = spark.range(0, 60_000, 1, 3).selectExpr(
        "cast(id as int) as user", "concat('u', id) as user_id"
    )
    dataset = frames.write(users, _stage_run(tmp_path), "users")
    assert [part.rows for part in dataset.manifest.parts] == [20_000] * 3
    assert [part.row_groups for part in dataset.manifest.parts] == [1] * 3
    assert _read_parts(dataset)["user"].to_pylist() == list(range(60_000))


def test_what_a_repeated_task_had_written_is_removed(ratings: DataFrame, tmp_path: Path) -> None:
    run = _stage_run(tmp_path)
    folder = run.outputs.folder("ratings")
    rows = pa.table([[value] for value in ROWS[0]], RATINGS)
    attempt = rows.add_column(0, pa.field(PARTITION, pa.int32()), [pa.array([0], pa.int32())])
    assert list(write_parts(iter(attempt.to_batches()), str(folder), RATINGS))
    # an attempt that is repeated, since its answer was lost
    assert len(list(folder.iterdir())) == 1
    written = frames.write(ratings.repartition(2), run, "ratings")
    assert sorted(folder.iterdir()) == sorted(written.paths)
    damage.check_no_more(written)
    assert written.rows == _read_parts(written).num_rows == 3


def test_empty_partitions_leave_no_part_and_an_empty_frame_is_a_dataset(
    spark: SparkSession, tmp_path: Path
) -> None:
    users = spark.range(0, 12, 1, 4).selectExpr(
        "cast(id as int) as user", "concat('u', id) as user_id"
    )
    few = frames.write(users.where("user = 7"), _stage_run(tmp_path / "few"), "users")
    assert [part.rows for part in few.manifest.parts] == [1]
    assert [tuple(row) for row in frames.read(spark, few).collect()] == [(7, "u7")]
    run = _stage_run(tmp_path / "none")
    none = frames.write(users.where("user > 99"), run, "users")
    manifests.commit(tmp_path / "none", run.outputs.manifests["users"])
    assert manifests.load(tmp_path / "none", "users").rows == 0
    assert frames.read(spark, none).collect() == []
    assert frames.read(spark, none).dtypes == [("user", "int"), ("user_id", "string")]


@pytest.mark.parametrize("folder", ["two words", "a[1]{x,y}*?", "50%20+ä", "_work"])
def test_any_folder_can_be_a_root(
    spark: SparkSession, ratings: DataFrame, tmp_path: Path, folder: str
) -> None:
    run = _stage_run(tmp_path / folder)
    assert frames.read(spark, frames.write(ratings, run, "ratings")).count() == 3
    assert frames.checkpoint(ratings, run, "parsed").count() == 3


def test_a_reader_sees_only_the_parts_that_the_manifest_names(
    spark: SparkSession, ratings: DataFrame, tmp_path: Path
) -> None:
    dataset = frames.write(ratings.coalesce(1), _stage_run(tmp_path), "ratings")
    stray = dataset.paths[0].with_name("part-00009-stray.parquet")
    stray.write_bytes(dataset.paths[0].read_bytes())
    assert frames.read(spark, dataset).count() == 3


@pytest.mark.parametrize("through_spark", [True, False])
@pytest.mark.parametrize(
    ("factors", "length"),
    [([[1.0, 2.0]], 2), ([[1.0, 2.0, 3.0], [1.0, 2.0]], 2), ([[1.0, 2.0, 3.0], []], 0)],
)
def test_factors_of_another_length_than_the_rank_are_refused(
    spark: SparkSession,
    publish: Publish,
    run: Run,
    root: Path,
    factors: list[list[float]],
    length: int,
    through_spark: bool,
) -> None:
    """By the stage that reads them: recommend reads item factors through Spark where a list
    says which items it may use.
    """
    publish(
        root,
        "train-als",
        "item_factors",
        [{"item": at, "factors": row} for at, row in enumerate(factors)],
        rank=3,
    )
    publish(root, "train-als", "user_factors", [{"user": 0, "factors": [1.0, 1.0, 1.0]}], rank=3)
    publish(root, "prepare-ratings", "interactions", [{"user": 0, "item": 0, "value": 1.0}])
    publish(root, "prepare-ratings", "users", [{"user": 0, "user_id": "a"}])
    publish(root, "prepare-ratings", "items", [{"item": at, "item_id": str(at)} for at in range(2)])
    (root / "list.csv").write_text("item_id\n0\n1\n")
    candidates = f'candidates = "{root}/list.csv"\n' if through_spark else ""
    with pytest.raises(
        SchemaError,
        match=f"^item_factors: factors of length {length} where the manifest says rank 3$",
    ):
        run(f'[als]\nrank = 3\n[recommend]\nmodel = "als"\n{candidates}', only="recommend")


def test_factors_as_long_as_the_rank_are_read(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame(
        [(0, [1.0, 2.0, 3.5]), (1, [0.0, -1.0, 1.5])], "item int, factors array<float>"
    )
    dataset = frames.write(frame, _stage_run(tmp_path), "item_factors", rank=3)
    assert sorted(map(tuple, frames.read(spark, dataset).collect())) == [
        (0, [1.0, 2.0, 3.5]),
        (1, [0.0, -1.0, 1.5]),
    ]


def test_a_checkpoint_lies_in_the_runs_scratch_folder_and_is_not_computed_again(
    ratings: DataFrame, tmp_path: Path
) -> None:
    run = _stage_run(tmp_path)
    random = frames.checkpoint(ratings.withColumn("draw", F.expr("uuid()")), run, "drawn")
    assert sorted(random.collect()) == sorted(random.collect())
    assert random.schema.names == [*ratings.schema.names, "draw"]
    assert [path.name.split("-")[0] for path in run.outputs.scratch.iterdir()] == ["drawn"]


def test_executors_that_write_parts_load_no_tensorflow_no_pydantic_and_no_stage(
    spark: SparkSession, ratings: DataFrame, tmp_path: Path
) -> None:
    folder = str(tmp_path / "parts")

    def write_and_look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for written in write_parts(batches, folder, RATINGS):
            yield pa.RecordBatch.from_pydict(
                {"modules": list(sys.modules), "sha256": [written["sha256"][0]] * len(sys.modules)}
            )

    numbered = ratings.select(F.lit(0).alias(PARTITION), "*").coalesce(1)
    rows = numbered.mapInArrow(write_and_look, "modules string, sha256 string").collect()
    loaded: set[Any] = {row["modules"] for row in rows}
    assert "emberline.datasets.parts" in loaded
    unwanted = {
        "tensorflow",
        "keras",
        "pydantic",
        "emberline.sections.config",
        "emberline.runs",
        "emberline.spark",
        "emberline.cli",
    }
    assert not loaded & unwanted
    assert rows[0]["sha256"] == damage.sha256_of(next(Path(folder).iterdir()))
