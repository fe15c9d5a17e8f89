"""The stage explain-pictures: which pixels the network goes by, of the few pictures that the report
shows it of.

Where the network predicts factors, these are of the people whom the report draws: of each the first
place of the published list that is by a picture, and what the pixels add to that user's score by
it. Where it predicts classes, they are test pictures: half of them those that it is surest of and
wrong, half drawn from those that it is right of.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cnn.attribution import Attributed, integrated_gradients
from emberline.cnn.model_file import load_model
from emberline.datasets.drawing import draw
from emberline.datasets.facts import Classes, Compared, Pictures, Task
from emberline.datasets.manifest import Dataset
from emberline.datasets.parts import write_part
from emberline.datasets.rows import batches, rows_where
from emberline.datasets.schema import TABLES
from emberline.models import ALS, CNN, CONTENT, outdating
from emberline.numeric.arrays import Array, Float32, UInt8
from emberline.runs.inputs import Inputs
from emberline.runs.stage_run import StageRun
from emberline.sections.report import ReportConfig

_MEASURED = "test"


class Asked(NamedTuple):
    """What is to be explained: what identifies each, a list per column with the items among them,
    and the weights (n, outputs) of the scores.
    """

    columns: dict[str, list[int]]
    weights: Float32


def run(run: StageRun[ReportConfig]) -> None:
    """Choose, look, and write."""
    inputs, settings = run.inputs, run.settings
    shards = inputs["shards_all"].manifest
    is_class = shards.facts(Task).task == "class"
    asked = _classes(inputs, settings) if is_class else _places(inputs, settings)
    pixels = _pixels(inputs["shards_all"], asked.columns["item"])
    found = _attributed(inputs[CNN.name], pixels, asked.weights)
    (name,) = run.outputs.promised
    columns = asked.columns | _looked_at(pixels, found)
    table = pa.table(columns, schema=TABLES[name])
    part = write_part([table], run.outputs.folder(name), "part-00000", table.schema)
    classes = (shards.facts(Classes),) if is_class else ()
    run.outputs.add(name, [part], shards.facts(Pictures), *classes, seed=settings.seed)


def _attributed(network: Dataset, pixels: UInt8, weights: Float32) -> Attributed:
    if not len(pixels):
        nothing = np.zeros(0, np.float32)
        return Attributed(np.zeros(pixels.shape[:3], np.float32), nothing, nothing)
    return integrated_gradients(load_model(network), pixels, weights)


def _looked_at(pixels: UInt8, found: Attributed) -> dict[str, Any]:
    return {
        "score": found.scores,
        "plain_score": found.without,
        "pixels": [picture.tobytes() for picture in pixels],
        "heat": [heat.ravel() for heat in found.pixels],
    }


def _pixels(shards: Dataset, items: list[int]) -> UInt8:
    """(n, height, width, channels)."""
    shape = shards.manifest.facts(Pictures).shape
    rows = rows_where(shards, "item", items, ["pixels"]).to_pylist()
    by_item = {row["item"]: np.frombuffer(row["pixels"], np.uint8) for row in rows}
    pictures = [by_item[item] for item in items]
    return np.array(pictures, np.uint8).reshape(len(items), *shape)


def _places(inputs: Inputs, settings: ReportConfig) -> Asked:
    """The first place of each person's list that is by a picture."""
    lists = inputs["recommendations"]
    drawn = draw(inputs.get("holdout_recommendations", lists), settings.users, settings.seed)
    rows = rows_where(lists, "user", drawn, ["rank", "item", "model"]).sort_by("rank").to_pylist()
    seen = _models_that_see(inputs)
    rows = [row for row in rows if row["model"] in seen]
    there = rows_where(inputs["shards_all"], "item", {row["item"] for row in rows}, [])
    pictured = set(there["item"].to_pylist())
    first: dict[int, int] = {}
    for row in rows:
        if row["item"] in pictured:
            first.setdefault(row["user"], row["item"])
    users = [user for user in drawn if user in first][: settings.overlays]
    items = [first[user] for user in users]
    return Asked({"user": users, "item": items}, _factors(inputs, users))


def _models_that_see(inputs: Inputs) -> set[str]:
    """The models of new items to whose scores pictures add."""
    (landmarks, _) = CONTENT.kept
    if landmarks not in inputs:
        return {CNN.name}
    compared = inputs[landmarks].manifest.given(Compared)
    return {CNN.name, CONTENT.name} if compared and compared.picture_weight else {CNN.name}


def _factors(inputs: Inputs, users: list[int]) -> Float32:
    """Those that the lists were made from (n, rank)."""
    own, _ = ALS.lists
    table = next(name for name in (*outdating(own), own) if name in inputs)
    rows = rows_where(inputs[table], "user", users, ["factors"]).to_pylist()
    by_user = {row["user"]: row["factors"] for row in rows}
    rank = inputs[table].manifest.rank or 0
    return np.array([by_user[user] for user in users], np.float32).reshape(len(users), rank)


def _classes(inputs: Inputs, settings: ReportConfig) -> Asked:
    """Test pictures of which the network is wrong, and others of which it is right."""
    items, labels, predicted, probability = _measured(inputs)
    is_right = labels == predicted
    surest = np.argsort(-np.where(is_right, -1.0, probability), kind="stable")
    wrong = surest[: min(settings.overlays // 2, int((~is_right).sum()))]
    right = np.random.default_rng(settings.seed).permutation(np.flatnonzero(is_right))
    chosen = np.concatenate([np.sort(right[: settings.overlays - len(wrong)]), wrong])
    count = len(inputs["shards_all"].manifest.facts(Classes).classes)
    weights = np.eye(count, dtype=np.float32)[predicted[chosen]]
    columns = {"item": items, "label": labels, "predicted": predicted}
    return Asked({name: column[chosen].tolist() for name, column in columns.items()}, weights)


def _measured(inputs: Inputs) -> tuple[Array, Array, Array, Array]:
    """Items, labels, predicted classes and their probabilities of the test pictures (n,)."""
    found: list[tuple[Array, Array]] = [(np.empty(0, np.int32), np.empty(0, np.int32))]
    for batch in batches(inputs["shards_all"], ["item", "label", "split"]):
        is_asked = pc.and_(pc.equal(batch["split"], _MEASURED), pc.is_valid(batch["label"]))
        kept = batch.filter(is_asked)
        found.append((kept["item"].to_numpy(), kept["label"].to_numpy()))
    items, labels = (np.concatenate([pair[side] for pair in found]) for side in (0, 1))
    order = np.argsort(items)
    (classes,) = CNN.classes
    columns = ["predicted", "probability"]
    rows = rows_where(inputs[classes], "item", items.tolist(), columns).sort_by("item")
    predicted, probability = (rows[column].to_numpy() for column in columns)
    return items[order], labels[order], predicted, probability
