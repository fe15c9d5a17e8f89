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


def test_tensorflow_starts_beside_the_stage_that_writes_what_it_reads(root: Path) -> None:
    rows = [row("a", "python"), row("b", "python", ("a",)), row("c", "tensorflow", ("b",))]
    runner.run(CONFIG, root, [*rows, row("d", "tensorflow", ("c",))])
    assert EVENTS == ["a", "begins", "b", "begins", "c", "d"]


def test_it_does_not_where_that_stage_is_skipped_or_another_comes_between(root: Path) -> None:
    rows = [row("a", "python"), row("b", "python"), row("c", "tensorflow", ("a",))]
    runner.run(CONFIG, root, rows)
    assert EVENTS == ["a", "b", "c"]
    EVENTS.clear()
    runner.run(CONFIG, root, [row("a", "python"), row("c", "tensorflow", ("a",))])
    assert EVENTS == []
