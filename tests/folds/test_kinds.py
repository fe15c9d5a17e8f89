"""Each kind of folds with each kind of model, on real data: all folds come to an end, each holds
another part, and models are better than what is trivial.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import pipelines
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.folds.crossing import Folds, cross
from emberline.folds.result import Result
from emberline.folds.ways import Of

PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"
SMALL = ("als.rank=16", "als.iterations=4")
pytestmark = pytest.mark.faults


def crossed(name: str, of: Of, folder: Path, *settings: str, **more: Any) -> Result:
    """Two folds, or of time two windows of so many days."""
    content = pipelines.content_of(PIPELINES / name, settings)
    return cross(
        Folds(name, content, more.get("count", 2), of, more.get("days")), storage.locate(folder)
    )


def values(found: Result, report: str, metric: str) -> Mapping[str, list[float | None]]:
    rows = [row for row in found.rows if (row.report, row.metric) == (report, metric)]
    return {row.model: row.values for row in rows}


def better(found: Mapping[str, list[float | None]], model: str, other: str) -> bool:
    pairs = zip(found[model], found[other], strict=True)
    return all(ours is not None and theirs is not None and ours > theirs for ours, theirs in pairs)


def held(folder: Path, fold: int, name: str, *columns: str) -> set[tuple[Any, ...]]:
    dataset = manifests.load(folder / f"fold-{fold}", name)
    table = pa.concat_tables([pq.read_table(path, columns=[*columns]) for path in dataset.paths])
    return {tuple(row[column] for column in columns) for row in table.to_pylist()}


@pytest.mark.parametrize("of", ["ratings", "users", "time"])
@pytest.mark.parametrize("model", ["als", "item-neighbors"])
def test_lists_and_predicted_ratings_of_movielens(
    of: Of, model: str, shared_data: Path, tmp_path: Path
) -> None:
    path = f"ratings.path={shared_data / 'movielens-latest-small/ratings.csv'}"
    settings = (path, *SMALL, f"recommend.model={model}")
    found = crossed("movielens.toml", of, tmp_path, *settings, days=365.0)
    own = values(found, "holdout", "ndcg@10")
    assert better(own, model, "random") and {*own} == {model, "most-popular", "random"}
    assert {"als", "item-neighbors", "biases"} <= {*values(found, "holdout", "rmse")}
    first, second = (held(tmp_path, fold, "holdout", "user", "item") for fold in (1, 2))
    assert first and second and not first & second
    if of == "users":
        assert not {user for user, _ in first} & {user for user, _ in second}


@pytest.mark.parametrize("of", ["items", "ratings", "users"])
def test_content_of_films(of: Of, shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "movielens-latest-small"
    paths = (f"ratings.path={data / 'ratings.csv'}", f"attributes.items.path={data / 'movies.csv'}")
    found = crossed("movielens-new.toml", of, tmp_path, *paths, *SMALL, "content.landmarks=100")
    cold = values(found, "cold items", "auc")
    assert better(cold, "content", "random")
    if of == "items":
        items = [{item for (item,) in held(tmp_path, fold, "holdout", "item")} for fold in (1, 2)]
        assert not items[0] & items[1] and {row.report for row in found.rows} == {"cold items"}
    else:
        assert better(values(found, "holdout", "ndcg@10"), "als", "random")


def test_pictures_of_items_that_nobody_has_rated(tmp_path: Path) -> None:
    small = ("shop.num_items=200", "shop.num_users=300", "shop.num_events=12000", "cnn.epochs=6")
    found = crossed("demo.toml", "items", tmp_path, *small, *SMALL)
    cold = values(found, "cold items", "auc")
    assert better(cold, "cnn", "random") and better(cold, "content", "random")


@pytest.mark.parametrize("forest", [False, True])
def test_classes_of_flowers(forest: bool, shared_data: Path, tmp_path: Path) -> None:
    name = "flowers.toml"
    pipeline = tmp_path / name
    lines = [f'[images]\npath = "{shared_data / "flower-photos"}"\nlabels = "folder"']
    lines += ["height = 24\nwidth = 24"]
    lines += ['[shards]\ntask = "class"\n[cnn]\nmodel = "cifar"\nepochs = 6\n[cnn.input]']
    lines += ["global_batch_size = 16\n[predict]", *(["[forest]"] if forest else []), "[evaluate]"]
    pipeline.write_text("\n".join(lines))
    folder, content = tmp_path / "folds", pipelines.content_of(pipeline)
    found = cross(Folds(name, content, 2, "pictures"), storage.locate(folder))
    own = values(found, "classes", "accuracy")
    assert {*own} == {"cnn", "most-frequent", *(["forest"] if forest else [])}
    assert all((value or 0) > 0.55 for value in own["cnn"])
    first, second = (
        {
            item
            for item, split in held(folder, fold, "shards_all", "item", "split")
            if split == "test"
        }
        for fold in (1, 2)
    )
    assert first and second and not first & second


@pytest.mark.parametrize("test", [(), ('shards.group.test=["speaker1"]',)])
def test_digits_by_speakers_nobody_has_heard(
    test: tuple[str, ...], shared_data: Path, tmp_path: Path
) -> None:
    """Whatever the file says of who is tested on: folds say that."""
    path = f"sounds.path={shared_data / 'spoken-digits/*.wav'}"
    less = ("cnn.model=cifar", "cnn.epochs=2", "shards.group.pattern=_(speaker[0-9])_", *test)
    content = pipelines.content_of(PIPELINES / "spoken-digits.toml", (path, *less))
    del content["forest"]
    found = cross(Folds("digits.toml", content, 3, "pictures"), storage.locate(tmp_path))
    assert better(values(found, "classes", "accuracy"), "cnn", "most-frequent")
    tested = []
    for fold in (1, 2, 3):
        rows = held(tmp_path, fold, "shards_all", "item_id", "split")
        speakers: dict[str, set[str]] = {}
        for item_id, split in rows:
            speakers.setdefault(item_id.split("_")[1], set()).add(split)
        assert all(len(splits) == 1 for splits in speakers.values())
        tested += [speaker for speaker, splits in speakers.items() if splits == {"test"}]
    assert len(tested) == len({*tested}) == len(speakers)
