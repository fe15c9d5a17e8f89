"""MLlib's evaluators on the same lists of a real shop."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.evaluation import RankingEvaluator
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner

PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"
SHARED = {  # MLlib's name of a metric, and ours
    "precisionAtK": "precision@{k}",
    "recallAtK": "recall@{k}/n",
    "ndcgAtK": "ndcg@{k}",
    "meanAveragePrecisionAtK": "map@{k}/min(k,n)",
}


def run_folder(root: Path, name: str) -> str:
    return str(manifests.load(root, name).paths[0].parent)


def value(root: Path, model: str, metric: str) -> float:
    (path,) = manifests.load(root, "metrics").paths
    rows: list[dict[str, Any]] = json.loads(path.read_text())["reports"]["holdout"]["metrics"]
    (found,) = [row["value"] for row in rows if (row["model"], row["metric"]) == (model, metric)]
    return float(found)


@pytest.mark.faults
def test_mllibs_ranking_evaluator_agrees_on_all_that_both_define_on_retail(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    overrides = [f'ratings.path="{shared_data}/online-retail"', "evaluate.k=[1,3,10]"]
    config = pipelines.load(PIPELINES / "retail.toml", overrides)
    runner.run(config, tmp_path, stages.select(config))
    lists = (
        spark.read.parquet(run_folder(tmp_path, "holdout_recommendations"))
        .groupBy("user")
        .agg(F.array_sort(F.collect_list(F.struct("rank", "item"))).alias("places"))
        .select(
            "user",
            F.transform("places", lambda place: place["item"].cast("double")).alias("prediction"),
        )
    )
    wanted = (
        spark.read.parquet(run_folder(tmp_path, "holdout"))
        .groupBy("user")
        .agg(F.collect_list(F.col("item").cast("double")).alias("label"))
    )
    both = (
        wanted.join(lists, "user", "left")
        .withColumn("prediction", F.coalesce("prediction", F.array().cast("array<double>")))
        .cache()
    )
    for theirs, ours in SHARED.items():
        for k in (1, 3, 10):
            found = RankingEvaluator(metricName=theirs, k=k).evaluate(both)
            name = ours.format(k=k)
            assert value(tmp_path, "als", name) == pytest.approx(found, abs=1e-9), name
    both.unpersist()
