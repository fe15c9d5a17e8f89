"""Every model of the table has a module that answers what its row says it answers."""

import inspect
from importlib import import_module

import pytest

from emberline.models import ALS, CNN, FOREST, MODELS, Model, answering

MINE = [model for model in MODELS.values() if model.role == "model" and model is not FOREST]


@pytest.mark.parametrize("model", MINE, ids=lambda model: model.name)
def test_a_model_that_makes_lists_or_predicts_ratings_has_a_module_that_does(model: Model) -> None:
    module = import_module(f"emberline.scoring.models.{model.name.replace('-', '_')}")
    if model.lists or model.new_items:
        assert list(inspect.signature(module.pieces).parameters) == ["known"]
    if model.ratings:
        assert list(inspect.signature(module.predict).parameters) == ["pairs", "rated"]


def test_who_answers_a_question_is_decided_by_the_tables_that_are_there() -> None:
    tables = dict.fromkeys([*ALS.lists, *CNN.new_items, "baseline_factors", "popular_items"])
    assert answering("lists", tables) == [ALS]
    assert answering("new_items", tables) == [CNN]
    assert answering("ratings", tables) == []
