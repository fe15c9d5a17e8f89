"""The table of stages, checked against the code, the schemas and the scripts that it is about."""

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from emberline import stages
from emberline.datasets.schema import TABLES
from emberline.errors import ConfigError
from emberline.models import LIST_MODELS, quantized
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import STAGES

JOBS = Path(__file__).parents[1] / "jobs"
COLUMNS = {"user_id": "u", "item_id": "i", "value": "v", "timestamp": "t"}
RATINGS = {"path": "dataset:shop/*.csv", "columns": COLUMNS}
PICTURES = {"path": "dataset:shop/*.parquet", "columns": {"item_id": "i", "image": "p"}}
SOUNDS = {"path": "dataset:shop/*.parquet", "columns": {"item_id": "i", "sound": "s"}}
SOURCE = {"path": "dataset:shop/*.parquet", "columns": {"id": "i", "label": "l"}}
NOISE = {
    "epsilon": 1.0,
    "budget": 2.0,
    "segments": "label",
    "split": {"items": 0.5, "classes": 0.2, "segments": 0.3},
}
SECTIONS = {
    "shop": {},
    "ratings": RATINGS,
    "split": {"by": "fraction", "fraction": 0.2, "cold_items": 0.2},
    "attributes": {"items": SOURCE, "users": [SOURCE, SOURCE]},
    "images": PICTURES,
    "sounds": SOUNDS,
    "als": {},
    "cosine": {},
    "shards": {"task": "factors"},
    "cnn": {},
    "predict": {},
    "export": {},
    "content": {},
    "forest": {},
    "recommend": {"exclude": "dataset:shop/recalled.csv"},
    "privacy": {"min_changing_users": 5, "noise": NOISE},
    "explain": {},
    "evaluate": {},
    "report": {},
}
NO_FOREST = {name: content for name, content in SECTIONS.items() if name != "forest"}
MODELS = [{"recommend": SECTIONS["recommend"] | {"model": model}} for model in LIST_MODELS]
EVERY_MODEL = [Config.model_validate(NO_FOREST | model) for model in MODELS]
FULL = EVERY_MODEL[0]
CLASSES = Config.model_validate(SECTIONS | {"shards": {"task": "class"}})


def _config(*sections: str) -> Config:
    return Config.model_validate({name: SECTIONS[name] for name in sections})


def _names(chosen: list[Stage]) -> list[str]:
    return [stage.name for stage in chosen]


def test_a_pipeline_runs_the_stages_of_its_sections_in_the_order_of_the_table() -> None:
    prepared = [
        "generate-shop",
        "prepare-ratings",
        "split-ratings",
        "prepare-items",
        "prepare-images",
        "prepare-sounds",
        "train-als",
        "train-cosine",
    ]
    networks = ["export-shards", "train-cnn", "predict-items", "export-model"]
    learnt = [*networks, "train-content", "blend"]
    lists = ["recommend-holdout", "refit", "steady-neighbors", "noisy-counts", "recommend"]
    assert _names(stages.select(FULL)) == [
        *prepared,
        *learnt,
        *lists,
        "explain",
        "train-baselines",
        "evaluate",
        "explain-pictures",
        "report",
    ]
    assert _names(stages.select(CLASSES)) == [
        *prepared,
        *learnt,
        "train-forest",
        *lists,
        "explain",
        "train-baselines",
        "evaluate",
        "explain-pictures",
        "report",
    ]
    assert _names(stages.select(_config("cosine", "shop"))) == ["generate-shop", "train-cosine"]


def test_only_chooses_one_stage_and_from_the_rest() -> None:
    assert _names(stages.select(FULL, only="train-als")) == ["train-als"]
    several = stages.select(FULL, only="train-cosine, train-als")
    assert _names(several) == ["train-als", "train-cosine"]  # in the order in which they run
    with pytest.raises(ConfigError, match="train-alsx is not a stage"):
        stages.select(FULL, only="train-als,train-alsx")
    last = ["recommend", "explain", "train-baselines", "evaluate", "explain-pictures", "report"]
    assert _names(stages.select(FULL, start="recommend")) == last
    assert _names(stages.select(FULL, start="generate-shop")) == _names(stages.select(FULL))


def test_a_stage_that_would_write_nothing_is_not_in_the_pipeline() -> None:
    """Without items that are withheld whole there is nothing to answer for baselines."""
    warm = {"by": "fraction", "fraction": 0.2}
    config = Config.model_validate(NO_FOREST | {"split": warm})
    assert "train-baselines" in _names(stages.select(FULL))
    assert "train-baselines" not in _names(stages.select(config))


def test_only_and_from_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--only and --from exclude each other"):
        stages.select(FULL, only="train-als", start="train-als")


@pytest.mark.parametrize("name", ["trane-als", "als", "evaluate"])
def test_a_stage_that_is_not_in_the_pipeline_is_answered_with_those_that_are(name: str) -> None:
    config = _config("shop", "als")
    expected = rf"{name} is not a stage of this pipeline \(its stages: generate-shop, train-als\)"
    with pytest.raises(ConfigError, match=expected):
        stages.select(config, only=name)
    with pytest.raises(ConfigError, match=expected):
        stages.select(config, start=name)


def test_a_pipeline_without_a_stage_is_a_mistake() -> None:
    with pytest.raises(
        ConfigError, match=f"no stage: add one of the sections {', '.join(SECTIONS)}"
    ):
        stages.select(_config())


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_target_is_a_function_that_takes_what_its_engine_gives(stage: Stage) -> None:
    module, _, name = stage.target.partition(":")
    function = getattr(importlib.import_module(module), name)
    more = {"spark": ["spark"], "flow": ["flow"], "python": [], "tensorflow": []}[stage.engine]
    arguments = ["run", *more]
    assert list(inspect.signature(function).parameters) == arguments


@pytest.mark.parametrize("config", [*EVERY_MODEL, CLASSES], ids=[*LIST_MODELS, "classes"])
def test_every_dataset_read_is_written_by_an_earlier_stage(config: Config) -> None:
    written: set[str] = set()
    for stage in stages.in_pipeline(config):
        assert set(stage.reads(config)) <= written, stage.name
        written |= set(stage.writes(config))


def test_no_dataset_is_written_by_two_stages() -> None:
    written = [name for stage in STAGES for name in stage.writes(FULL)]
    assert len(written) == len(set(written))


def test_every_table_is_written_by_a_stage_or_a_publish() -> None:
    published = {name for name in map(quantized, TABLES) if name}
    assert set(TABLES) - published <= {
        name
        for config in (*EVERY_MODEL, CLASSES)
        for stage in STAGES
        for name in stage.writes(config)
    }


def test_every_section_has_a_stage_and_some_have_several() -> None:
    assert {stage.section for stage in STAGES} == set(SECTIONS)
    shared = {
        section: [stage.name for stage in STAGES if stage.section == section]
        for section in ("content", "evaluate", "privacy", "recommend", "report")
    }
    assert shared == {
        "content": ["train-content", "blend"],
        "evaluate": ["train-baselines", "evaluate"],
        "privacy": ["steady-neighbors", "noisy-counts"],
        "recommend": ["recommend-holdout", "refit", "recommend"],
        "report": ["explain-pictures", "report"],
    }
    assert len(STAGES) == len(SECTIONS) + 6


@pytest.mark.parametrize(
    ("split", "recommend", "names"),
    [
        ({"by": "last", "n": 1}, {}, ["recommend-holdout", "refit", "recommend"]),
        ({"by": "last", "n": 1}, {"refit": False}, ["recommend-holdout", "recommend"]),
        ({"cold_items": 0.1}, {}, ["refit", "recommend"]),
        ({}, {}, ["recommend"]),
    ],
)
def test_a_model_is_refitted_where_something_is_withheld_and_nothing_else_is_said(
    split: dict[str, Any], recommend: dict[str, Any], names: list[str]
) -> None:
    evaluate = {"evaluate": {}} if split.get("by") else {}
    timed = RATINGS | {"columns": RATINGS["columns"] | {"timestamp": "t"}}
    sections = {"ratings": timed, "split": split, "als": {}, "recommend": recommend} | evaluate
    config = Config.model_validate(sections)
    chosen = [stage for stage in stages.in_pipeline(config) if stage.section == "recommend"]
    assert _names(chosen) == names
    suffix = "refitted_" if "refit" in names else ""
    assert chosen[-1].reads(config)[3:] == (f"{suffix}user_factors", f"{suffix}item_factors")
    assert all(stage.settings(FULL) is getattr(FULL, stage.section) for stage in STAGES)


def test_stages_that_share_a_section_say_which_of_its_settings_they_use() -> None:
    for stage in stages.in_pipeline(FULL):
        every = stage.settings(FULL).what()
        assert set(stage.what(FULL)) <= set(every)
        assert stage.uses is not None or stage.what(FULL) == every
    shared = [stage for stage in STAGES if stage.section in ("evaluate", "recommend")]
    assert [stage.name for stage in shared if stage.uses is None] == ["evaluate"]
    for section in ("evaluate", "recommend"):
        used = {name for stage in shared if stage.section == section for name in stage.what(FULL)}
        switches = {"recommend": {"refit"}}.get(section, set())  # whether a stage is there at all
        assert used | switches == set(getattr(FULL, section).what())


@pytest.mark.parametrize(
    ("split", "unasked"),
    [
        ({}, {"validation", "holdout"}),
        ({"cold_items": 0.2}, {"validation"}),
        ({"by": "fraction", "fraction": 0.2}, {"validation"}),
        ({"validation": {"by": "users", "users": 9}}, {"holdout"}),
        ({"by": "folds", "folds": 5, "fold": 1, "validation": {"by": "users", "users": 9}}, set()),
        ({"by": "column"}, set()),
    ],
)
def test_a_split_writes_all_sets_and_says_which_nobody_has_asked_for(
    split: dict[str, Any], unasked: set[str]
) -> None:
    ratings = RATINGS | {"columns": {"user_id": "u", "item_id": "i", "value": "v", "split": "s"}}
    content = {"shop": {}, "ratings": ratings, "split": split}
    config = Config.model_validate(content)
    (stage,) = (stage for stage in STAGES if stage.name == "split-ratings")
    assert set(stage.writes(config)) == {"ratings", "validation", "holdout"}
    assert set(stage.unasked(config)) == unasked


def test_no_stage_is_named_like_another() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_has_a_script_that_runs_it_and_nothing_else(stage: Stage) -> None:
    tree = ast.parse((JOBS / f"{stage.name.replace('-', '_')}.py").read_text())
    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert calls == [f"run_stage('{stage.name}')"]
    assert f"the stage {stage.name}, for spark-submit" in " ".join(
        (ast.get_docstring(tree) or "").split()
    )


def test_there_is_no_script_without_a_stage() -> None:
    assert {path.stem for path in JOBS.glob("*.py")} == {
        stage.name.replace("-", "_") for stage in STAGES
    }


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("dataset:shop/events.csv", ("shop", "events.csv")),
        ("dataset:shop/days/*.csv", ("shop", "days/*.csv")),
        ("dataset:shop", ("shop", "*")),
        ("data/ratings.csv", None),
        ("/dataset:shop/events.csv", None),
    ],
)
def test_a_path_may_name_files_of_an_artifact(path: str, found: tuple[str, str] | None) -> None:
    assert split_dataset_path(path) == found


@pytest.mark.parametrize(
    ("path", "reads"), [("dataset:shop/events.csv", ("shop",)), ("data/events.csv", ())]
)
def test_prepare_ratings_reads_the_artifact_that_its_path_names(
    path: str, reads: tuple[str, ...]
) -> None:
    stage = next(stage for stage in STAGES if stage.name == "prepare-ratings")
    config = Config.model_validate({"ratings": RATINGS | {"path": path}})
    assert (stage.reads(config), stage.raw(config)) == (reads, (path,))


def test_cosine_writes_the_sides_that_were_asked_for() -> None:
    stage = next(stage for stage in STAGES if stage.name == "train-cosine")
    sides = [("items",), ("users",), ("users", "items")]
    written = [stage.writes(Config.model_validate({"cosine": {"sides": side}})) for side in sides]
    assert written == [
        ("item_neighbors",),
        ("user_neighbors",),
        ("item_neighbors", "user_neighbors"),
    ]


def test_a_datasets_producer_is_known_by_name() -> None:
    assert stages.producer(FULL, "item_factors") == "train-als"
    assert stages.producer(FULL, "rejected_ratings") == "prepare-ratings"
    assert stages.producer(FULL, "no_such_thing") == "the stage that writes no_such_thing"
