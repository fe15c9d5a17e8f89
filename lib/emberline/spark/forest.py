"""The stage train-forest: a random forest on the network's embeddings, to see how much of what it
knows is in them.

The forest learns from the pictures that the network learnt from, and answers for those that both
are tested on.
"""

import json
from typing import Any

from pyspark.ml.classification import RandomForestClassificationModel, RandomForestClassifier
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets import storage
from emberline.datasets.facts import Classes, Forest
from emberline.datasets.parts import write_file
from emberline.datasets.schema import TOP_CLASSES
from emberline.errors import EmptyDatasetError
from emberline.models import FOREST
from emberline.runs.stage_run import StageRun
from emberline.sections.forest import ForestConfig
from emberline.spark import frames

_PARTITIONS = 16


def run(run: StageRun[ForestConfig], spark: SparkSession) -> None:
    """Fit, classify the test pictures, and write the model, its importances and its answers."""
    config = run.settings
    classes = run.inputs["shards_all"].manifest.facts(Classes)
    labels = (
        frames.read(spark, run.inputs["shards_all"])
        .select("item", "split", "label")
        .where("label is not null")
    )
    vectors = frames.read(spark, run.inputs["embeddings"]).select(
        "item", array_to_vector(F.col("embedding")).alias("features")
    )
    examples = frames.checkpoint(labels.join(vectors, "item"), run, "examples")
    if examples.where("split = 'test'").isEmpty():
        raise EmptyDatasetError(
            "no picture with a label is for testing; set shards.test, such as 0.2"
        )
    forest = RandomForestClassifier(
        labelCol="label",
        featuresCol="features",
        numTrees=config.num_trees,
        maxDepth=config.max_depth,
        seed=config.seed,
    )
    label = F.col("label").cast("double").alias("label", metadata=_nominal(len(classes.classes)))
    model = forest.fit(
        examples.where("split = 'train'").transform(cut_alike).select(label, "features")
    )
    frames.write(answers(model, examples.where("split = 'test'")), run, "forest_classes", classes)
    _write_model(run, model, config)


def cut_alike(examples: DataFrame) -> DataFrame:
    """The rows in the same partitions and order on any cluster: MLlib draws each tree's rows
    partition by partition.
    """
    return examples.repartition(_PARTITIONS, "item").sortWithinPartitions("item")


def _nominal(num_classes: int) -> dict[str, Any]:
    """A label column's metadata: MLlib counts the classes by itself only up to 100."""
    return {"ml_attr": {"type": "nominal", "num_vals": num_classes}}


def answers(model: RandomForestClassificationModel, examples: DataFrame) -> DataFrame:
    """Columns item, predicted, probability and top: of equal probabilities the smaller class
    comes first.
    """
    answered = model.transform(examples.select("item", "features"))
    pairs = F.transform(vector_to_array(F.col("probability")), _negated)
    best = answered.select("item", F.slice(F.array_sort(pairs), 1, TOP_CLASSES).alias("_best"))
    first = F.get("_best", 0)
    return best.select(
        "item",
        first["label"].alias("predicted"),
        (-first["minus"]).cast("float").alias("probability"),
        F.transform("_best", lambda pair: pair["label"]).alias("top"),
    )


def _negated(probability: Column, label: Column) -> Column:
    return F.struct((-probability).alias("minus"), label.alias("label"))


def _write_model(
    run: StageRun[ForestConfig], model: RandomForestClassificationModel, config: ForestConfig
) -> None:
    """MLlib's own files below `model/`, and the importance of each of the embedding's
    dimensions.
    """
    place = run.outputs.scratch / "model"
    model.write().save(storage.spark_uri(place))
    importances = [float(value) for value in model.featureImportances.toArray()]
    facts = Forest(importances, model.getNumTrees, model.numFeatures)
    folder = run.outputs.folder(FOREST.name)
    files = [path for path in storage.files_below(place) if not path.name.endswith(".crc")]
    parts = [
        write_file(path.read_bytes(), folder, f"model/{storage.below(path, place)}")
        for path in files
    ]
    parts.append(
        write_file(json.dumps(facts.to_json(), indent=1).encode(), folder, "importances.json")
    )
    run.outputs.add(FOREST.name, parts, facts, seed=config.seed)
