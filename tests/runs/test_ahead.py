"""What takes seconds to start is started beside the stage before the first that needs it."""

from pathlib import Path

import pytest
from tests.recorder import EVENTS

from emberline.runs import engines, runner
from emberline.sections.config import Config
from emberline.sections.stage import EngineName, Stage

CONFIG = Config.model_validate({"shop": {}})


def row(name: str, engine: EngineName, reads: tuple[str, ...] = ()) -> Stage:
    """A stage that writes what it is called."""
    target = "tests.recorder:stage"
    return Stage(name, "shop", engine, target, lambda config: reads, lambda config: (name,))


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.CODE, "tensorflow", "tests.recorder:Recorder")
    EVENTS.clear()


def test_tensorflow_starts_beside_the_first_stage_on_which_one_of_its_stages_hangs(
    root: Path,
) -> None:
    rows = [row("a", "python"), row("b", "python"), row("c", "python", ("b",))]
    runner.run(CONFIG, root, [*rows, row("d", "tensorflow", ("c",))])
    assert EVENTS == ["a", "begins", "b", "begins", "c", "d"]


def test_on_a_cluster_it_waits_for_the_stage_just_before(root: Path) -> None:
    config = Config.model_validate({"shop": {}, "spark": {"master": "spark://a:1"}})
    rows = [row("a", "python"), row("b", "python", ("a",)), row("c", "tensorflow", ("a", "b"))]
    runner.run(config, root, rows)
    assert EVENTS == ["a", "begins", "b", "c"]


def test_it_does_not_where_that_stage_is_skipped(root: Path) -> None:
    rows = [row("a", "python"), row("c", "tensorflow", ("a",))]
    runner.run(CONFIG, root, rows)
    assert EVENTS == ["begins", "a", "c"]
    EVENTS.clear()
    runner.run(CONFIG, root, rows)
    assert EVENTS == []
