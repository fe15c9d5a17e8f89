"""Every table that holds people is one that forgetting knows, whichever stage has come lately."""

from pathlib import Path

import pytest
from tests.test_stages import CLASSES, EVERY_MODEL

from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.schema import TABLES, fields_of
from emberline.models import quantized
from emberline.privacy import removal
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import STAGES

OF_RELEASES = {name for name in map(quantized, TABLES) if name}
PERSONAL = sorted(name for name, schema in TABLES.items() if {"user", "user_id"} & {*schema.names})
RAW = ["rejected_ratings", "rejected_attributes"]


def test_the_tables_of_people_are_these() -> None:
    """One that is new here has to be thought of: is it made anew, or removed?"""
    assert PERSONAL == [
        "blended_user_factors",
        "content_user_factors",
        "content_user_landmarks",
        "holdout",
        "holdout_recommendations",
        "interactions",
        "picture_reasons",
        "quantized_user_factors",
        "ratings",
        "reasons",
        "recommendations",
        "refitted_user_factors",
        "refitted_user_neighbors",
        "user_attributes",
        "user_factors",
        "user_measures",
        "user_neighbors",
        "user_rating_factors",
        "users",
        "validation",
    ]


@pytest.mark.parametrize("name", [*PERSONAL, *RAW])
def test_one_that_no_stage_makes_any_more_is_removed(name: str, tmp_path: Path) -> None:
    by = ProducedBy("a-stage", "f" * 64, "20261130T120000-00000000", {}, {}, "c" * 64)
    manifest = Manifest(name, "table", fields_of(TABLES[name]), 0, [], by)
    assert removal._is_personal(Dataset(tmp_path / name, manifest))


def written(config: Config) -> dict[str, Stage]:
    return {name: stage for stage in STAGES if stage.is_in(config) for name in stage.writes(config)}


def hangs_on_people(config: Config, name: str, makers: dict[str, Stage]) -> bool:
    """Whether who is forgotten is in the fingerprint of its stage, or of one that it reads from."""
    stage = makers[name]
    if stage.reads_ids:
        return True
    return any(hangs_on_people(config, each, makers) for each in stage.reads(config))


@pytest.mark.parametrize("name", sorted({*PERSONAL, *RAW} - OF_RELEASES))
def test_one_that_a_stage_makes_is_made_anew(name: str) -> None:
    configs = [config for config in (*EVERY_MODEL, CLASSES) if name in written(config)]
    assert configs
    assert all(hangs_on_people(config, name, written(config)) for config in configs)
