"""Lists by the defaults: NDCG@10 of ALS and of item-neighbors beside the most popular items, whole
pipelines, nothing set.

Real ratings and purchases where they are at hand (the pipelines of jobs/pipelines), and three
generated shapes (shapes.py) with empty sections [als], [cosine] and [recommend]. A fifth of each
user's interactions is withheld. "times popular" is a model's NDCG@10 over that of the most popular
items; "seconds" are those of its training, lists and evaluation.
"""

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import data
import harness
import shapes
from harness import Figures, Subject

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.sections.stage import Stage

MODELS = ("als", "item-neighbors")
METRIC = "ndcg@10"
PIPELINES = Path(__file__).parents[1] / "jobs" / "pipelines"
REAL = {"movielens": "movielens-latest-small/ratings.csv", "retail": "online-retail"}
QUICK = ("few-stars",)
KINDS = {
    "stars": 'value = "rating"\nmax_value = 5.0',
    "plays": 'value = "count"',
    "clicks": 'value = "one"',
    "few-stars": 'value = "rating"\nmax_value = 5.0',
}
GENERATED = """[ratings]
path = "{path}"
columns = {columns}
{kind}
[split]
by = "fraction"
fraction = 0.2
[als]
[cosine]
[recommend]
[evaluate]
{relevant}
"""


def generated(name: str, folder: Path) -> Path:
    """The pipeline file of a generated shape, and its data, in a folder."""
    has_values, has_stars = shapes.SHAPES[name].values is not None, "rating" in KINDS[name]
    columns = '{ user_id = "user", item_id = "item"' + (
        ', value = "value" }' if has_values else " }"
    )
    relevant = "relevant_from = 4.0" if has_stars else ""
    path = shapes.write(name, folder)
    file = folder / f"{name}.toml"
    file.write_text(
        GENERATED.format(path=path, columns=columns, kind=KINDS[name], relevant=relevant),
        encoding="utf-8",
    )
    return file


def lists_by(model: str, pipeline: Path, root: Path, overrides: Sequence[str] = ()) -> Figures:
    """Run the pipeline with the lists of one model: what they and the most popular items reach."""
    config = untuned(pipeline, [*overrides, f"recommend.model={model}"])
    began = time.perf_counter()
    runner.run(config, storage.locate(str(root)), measured_stages(config))
    seconds = time.perf_counter() - began
    (path,) = manifests.load(storage.locate(str(root)), "metrics").paths
    rows = json.loads(path.read_bytes())["reports"]["holdout"]["metrics"]
    reached = {row["model"]: row["value"] for row in rows if row["metric"] == METRIC}
    popular = reached["most-popular"]
    return {
        "seconds": seconds,
        "quality": reached[model],
        "popular": popular,
        "times popular": reached[model] / popular,
    }


def untuned(pipeline: Path, overrides: Sequence[str]) -> Config:
    """The pipeline, with nothing set of its models."""
    content = pipelines.content_of(pipeline, overrides)
    return pipelines.config_of(content | {"als": {}, "cosine": {}}, pipeline.name)


def measured_stages(config: Config) -> list[Stage]:
    """All but those that publish lists, which nothing measures."""
    return [s for s in stages.select(config) if s.name not in ("refit", "recommend")]


def cases(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Path, list[str]]]:
    """Name, pipeline file and overrides of each dataset that is at hand."""
    for name in names:
        if name not in REAL:
            yield name, generated(name, folder), []
        elif (place := data.REAL_DATA / REAL[name]).exists():
            yield name, PIPELINES / f"{name}.toml", [f"ratings.path={place}"]


def main() -> None:
    """Measure every dataset."""
    options = harness.options(__doc__)
    names = (
        QUICK if options.quick else (*REAL, *[name for name in shapes.SHAPES if name not in QUICK])
    )
    with (
        harness.spark(options),
        harness.report(options) as report,
        TemporaryDirectory(prefix="emberline-bench-") as place,
    ):
        for name, pipeline, overrides in cases(
            Path(place), [name for name in names if report.wants(f"lists {name}")]
        ):
            root = Path(place) / "roots" / name
            config = pipelines.load(pipeline, overrides)
            prepared = [
                stages.select(config, name)[0] for name in ("prepare-ratings", "split-ratings")
            ]
            runner.run(config, storage.locate(str(root)), prepared)
            measure = [partial(lists_by, model, pipeline, root, overrides) for model in MODELS]
            subjects = [
                Subject(model, run, measures_itself=True)
                for model, run in zip(MODELS, measure, strict=True)
            ]
            report.compare(f"lists {name}", subjects)


if __name__ == "__main__":
    main()
