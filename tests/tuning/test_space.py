"""What a study varies, as files say it and as settings do, and what is none."""

import re
from pathlib import Path

import pytest

from emberline import pipelines
from emberline.errors import ConfigError
from emberline.tuning import design as designs
from emberline.tuning import space as spaces
from emberline.tuning.design import Options
from emberline.tuning.space import Parameter, edges

PIPELINE = """
[ratings]
path = "log.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
value = "rating"
[split]
by = "fraction"
fraction = 0.2
[als]
[cosine]
[recommend]
[evaluate]
"""


def _design(tmp_path: Path, space: str | None, more: str = "", **options: object) -> designs.Design:
    pipeline, file = tmp_path / "p.toml", tmp_path / "s.toml"
    pipeline.write_text(PIPELINE.replace("[als]\n", f"[als]\n{more}\n"), encoding="utf-8")
    file.write_text(space or "", encoding="utf-8")
    given = Options(space=None if space is None else file, **options)  # type: ignore[arg-type]
    return designs.design(pipelines.content_of(pipeline), "p.toml", given)


def test_a_file_says_ranges_and_choices_of_settings_at_all_levels(tmp_path: Path) -> None:
    text = '[als]\nreg_param = { low = 0.01, high = 1, log = true }\nconfidence = ["log", "exp"]\n'
    text += "[als.ratings]\nrank = { low = 4, high = 8 }\n"
    (tmp_path / "s.toml").write_text(text)
    reg_param, confidence, rank = spaces.read(tmp_path / "s.toml")
    assert (reg_param.name, reg_param.low, reg_param.high, reg_param.log, reg_param.is_integer) == (
        "als.reg_param", 0.01, 1.0, True, False,
    )  # fmt: skip
    assert (confidence.name, confidence.choices) == ("als.confidence", ["log", "exp"])
    assert (rank.name, rank.log, rank.is_integer) == ("als.ratings.rank", False, True)
    assert rank.has(8) and not rank.has(9) and not confidence.has("auto")


@pytest.mark.parametrize("metric", ["ndcg@10", "rmse"])
def test_what_is_shown_is_a_file_that_says_the_same(tmp_path: Path, metric: str) -> None:
    shown = _design(tmp_path, None, metric=metric)
    text = "\n".join(spaces.shown(shown.header.space))
    assert _design(tmp_path, text, metric=metric).header == shown.header


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("[als]\nrnak = [1, 2]", "s.toml: unknown setting als.rnak (did you mean rank?)"),
        ("[als]\nrank = { low = 9, high = 8 }", "als.rank: low = 9 is not below high = 8"),
        ('[als]\nrank = { low = "many", high = 8 }', "als.rank: low is a number, found 'many'"),
        ("[als]\nreg_param = { low = 0, high = 8, log = true }", "with log = true, low is above 0"),
        ("[als]\nrank = { low = 1.5, high = 8 }", "als.rank: low: Input should be a valid integer"),
        ("[als]\nrank = [0, 8]", "als.rank: Input should be greater than 0, found 0"),
        ("[als]\nrank = [8]", "expected two or more different choices"),
        ("[als]\nrank = 8", "als.rank: expected a list of choices, or { low = ..., high = ... }"),
        ("[als]\nsolver = ['cg', 'best']", "als.solver: Input should be 'cg', 'cholesky' or"),
        ("[als]\nblocks = [1, 2]", "als.blocks says where something is computed, and not what"),
        ("[als]\nsubspace = [8, 16]", "als.subspace changes nothing: als.solver = 'cg' fixes it"),
        ("[als.ratings]\nrank = [8, 16]", "als.ratings.rank changes nothing of ndcg@10 of als"),
        ("[als]\niterations = [8, 16]", "als.iterations is what successive halving rations"),
        ("[split]\nfraction = [0.1, 0.2]", "split.fraction decides on the data, or on how they"),
        ("[content]\nsample = [100, 200]", "content.sample: the pipeline has no section [content]"),
        ("", "has no setting to vary; --show-space shows"),
    ],
)  # fmt: skip
def test_what_is_no_space_is_told_by_its_setting(tmp_path: Path, space: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        _design(tmp_path, space)


def test_a_setting_that_another_fixes_may_vary_with_that_one(tmp_path: Path) -> None:
    both = "[als]\nsolver = ['cg', 'subspace']\nsubspace = [8, 16]\n"
    assert len(_design(tmp_path, both).header.space) == 2
    names = [one.name for one in _design(tmp_path, None, "unobserved_weight = 0.1").header.space]
    assert names == ["als.rank", "als.reg_param", "als.reg_exponent"]


def test_the_defaults_are_those_of_the_file_with_what_auto_means(tmp_path: Path) -> None:
    defaults = _design(tmp_path, None, "rank = 20").defaults
    assert (defaults["als.rank"], defaults["als.confidence"]) == (20, "exp")  # of ratings


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metric": "ndcg@5"}, "lists by ndcg@k, recall@k/n and others at k = 10"),
        ({"metric": "accuracy"}, "accuracy is not measured by this pipeline"),
        ({"metric": "rmse", "model": "cnn"}, "these models it is: als, item-neighbors, user-neig"),
    ],
)  # fmt: skip
def test_a_metric_that_the_pipeline_does_not_have_is_told_with_those_that_it_has(
    tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        _design(tmp_path, None, **options)


@pytest.mark.parametrize(
    ("name", "low", "high", "log", "value", "at"),
    [
        ("als.rank", 16, 256, True, 232, 256),
        ("als.rank", 16, 256, True, 200, None),
        ("als.rank", 1, 256, True, 1, None),  # no rank is below
        ("als.reg_param", 0.02, 2.0, True, 0.021, 0.02),
        ("als.reg_exponent", 0.0, 1.0, False, 0.01, None),
        ("als.reg_exponent", 0.0, 1.0, False, 0.96, 1.0),
        ("split.fraction", 0.1, 0.6, False, 0.6, None),  # twice as much is no fraction
    ],
)
def test_a_value_at_the_edge_of_its_range_is_one_beyond_which_there_are_others(
    name: str, low: float, high: float, log: bool, value: float, at: float | None
) -> None:
    one = Parameter(name, low, high, log, is_integer=name == "als.rank")
    assert one.edge(value) == at
    told = edges([one], {name: value})
    assert told == ([f"{name} = {value:g} ({low:g} to {high:g})"] if at else [])
