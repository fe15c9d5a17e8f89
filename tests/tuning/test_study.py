"""A study over a base: what trials see, what they leave, and how it goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tuning.conftest import Watching

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.facts import Holdout
from emberline.datasets.measures import reports_of
from emberline.errors import ConfigError, DataError
from emberline.runs import runner
from emberline.tuning import sampler
from emberline.tuning import trial as trials
from emberline.tuning.outcome import Outcome
from emberline.tuning.space import Parameter
from emberline.tuning.trial import Rung, Trial

Tune = Callable[..., Outcome]


def _pairs(root: Path, name: str) -> set[tuple[int, int]]:
    tables = [pq.read_table(path) for path in manifests.load(root, name).paths]
    rows = pa.concat_tables(tables) if tables else pa.table({"user": [], "item": []})
    return set(zip(rows["user"].to_pylist(), rows["item"].to_pylist(), strict=True))


def _trials(folder: Path) -> list[dict]:
    """What a study's trials are, but for how long they took."""
    found = [json.loads(file.read_text()) for file in sorted((folder / "trials").glob("*.json"))]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in found]


def test_trials_never_see_what_the_final_figure_is_of(study: tuple[Path, Outcome]) -> None:
    folder, _ = study
    names = ("ratings", "validation", "holdout")
    seen = {name: _pairs(folder / "base", name) for name in names}
    final = {name: _pairs(folder / "defaults", name) for name in names}
    assert seen["holdout"] and not (seen["ratings"] | seen["holdout"]) & final["holdout"]
    assert seen["holdout"] == seen["validation"] and not seen["ratings"] & seen["holdout"]
    assert seen["ratings"] | seen["holdout"] == final["ratings"] and not final["validation"]
    accounts = manifests.load(folder / "base", "ratings").manifest.info["accounts"]
    assert accounts["aside"] == len(final["holdout"])
    protocols = [
        manifests.load(folder / root, "holdout").manifest.facts(Holdout).protocol
        for root in ("base", "defaults")
    ]
    assert [one.get("measure_by") for one in protocols] == ["validation", None]


def test_the_first_trial_is_the_pipeline_as_it_is(study: tuple[Path, Outcome]) -> None:
    folder, found = study
    first = _trials(folder)[0]
    assert first["parameters"]["als.rank"] == 2 and first["state"] == "complete"
    metrics = reports_of(manifests.load(folder / "defaults", "metrics"))["holdout"].metrics
    (row,) = (row for row in metrics if (row.model, row.metric) == ("als", "ndcg@10"))
    assert (found.defaults.holdout, found.defaults.validation) == (row.value, first["value"])


def test_winner_and_defaults_are_compared_on_the_users_that_both_were_measured_on(
    study: tuple[Path, Outcome],
) -> None:
    _, found = study
    assert found.winner > 0 and found.difference is not None
    assert found.difference.low < found.difference.value < found.difference.high
    apart = found.best.holdout - found.defaults.holdout
    assert found.difference.value == pytest.approx(apart)


def test_bad_trials_end_after_a_third_of_the_iterations(study: tuple[Path, Outcome]) -> None:
    rungs = [[rung["budget"] for rung in one["rungs"]] for one in _trials(study[0])]
    assert rungs[0] == [3, 9] and [3] in rungs
    assert {one["state"] for one in _trials(study[0])} == {"complete", "halted"}


def test_trials_leave_nothing_but_their_files(study: tuple[Path, Outcome]) -> None:
    folder, _ = study
    assert [path.name for path in sorted((folder / "trials").iterdir())] == [
        f"{number:05d}.json" for number in range(6)
    ]


def test_a_study_that_is_interrupted_goes_on_with_the_same_trials(
    study: tuple[Path, Outcome], tune: Tune, tmp_path: Path
) -> None:
    folder, found = study
    for ended in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path, 6, Watching(most=ended), parallel=2)
    assert len(_trials(tmp_path)) == 3
    (tmp_path / "trials" / "00004").mkdir()  # as a killed trial leaves it
    (tmp_path / "trials" / "00004" / "torn").write_text("...")
    assert tune(tmp_path, 6, parallel=2) == found
    assert _trials(tmp_path) == _trials(folder)
    assert (tmp_path / "winner.toml").read_text() == (folder / "winner.toml").read_text()


def test_the_winner_is_a_pipeline_that_reaches_its_figure(
    study: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder, found = study
    config = pipelines.load(folder / "winner.toml")
    assert config.als is not None and config.als.rank == found.parameters["als.rank"]
    root = storage.locate(str(tmp_path))
    runner.run(config, root, stages.needed_for(config, "evaluate"))
    metrics = reports_of(manifests.load(root, "metrics"))["holdout"].metrics
    reached = {(row.model, row.metric): row.value for row in metrics}
    assert reached["als", "ndcg@10"] == pytest.approx(found.best.holdout, abs=1e-9)


def test_another_study_in_the_same_folder_is_refused_by_what_differs(
    study: tuple[Path, Outcome], tune: Tune
) -> None:
    with pytest.raises(ConfigError, match=r"was begun with seed = 1, not 2; give another folder"):
        tune(study[0], 6, parallel=2, seed=2)


def test_a_trial_that_cannot_be_has_failed_and_the_study_goes_on(
    tune: Tune, tmp_path: Path
) -> None:
    space = tmp_path / "space.toml"
    space.write_text("[als]\nunobserved_weight = [0.1, 0.2]\nconfidence = ['log', 'linear']\n")
    watching = Watching()
    found = tune(tmp_path / "study", 2, watching, space=space)
    assert [one.state for one in watching.seen] == ["complete", "failed"]
    assert "with unobserved_weight each event weighs 1" in (watching.seen[1].error or "")
    assert found.winner == 0 and found.verdict == "the defaults are as good: no trial was better"


def test_a_trials_file_that_was_altered_is_named(tmp_path: Path) -> None:
    trials.write(tmp_path, Trial(3, {"als.rank": 4}, "complete", 0.5, None, [Rung(0, 0.5)]))
    assert trials.read(tmp_path)[3].value == 0.5
    file = tmp_path / "trials" / "00003.json"
    file.write_text(file.read_text().replace("complete", "won"))
    with pytest.raises(DataError, match=r"00003.json is no trial \(state: expected complete or"):
        trials.read(tmp_path)


def test_what_is_asked_depends_on_trials_seed_and_number_alone() -> None:
    space = [Parameter("a", 0.01, 1.0, log=True), Parameter("b", choices=["x", "y"])]

    def grown(seed: int, count: int) -> list[Trial]:
        known: list[Trial] = []
        for number in range(count):
            (one,) = sampler.ask(known[::-1], space, seed, [number], lower_is_better=True)
            value = abs(one["a"] - 0.3) + (one["b"] == "x")
            known.append(Trial(number, one, "complete", value, None))
        return known

    once = grown(seed=1, count=25)
    assert grown(seed=1, count=25) == once != grown(seed=2, count=25)
    # what was learnt shows: the last ten are nearer than the first ten, which are drawn at random
    assert sum(one.value or 0 for one in once[-10:]) < sum(one.value or 0 for one in once[:10])
    shares = sampler.importances(once, space, True)
    assert shares.keys() == {"a", "b"} and sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sampler.importances(once[:5], space, True) == {}
