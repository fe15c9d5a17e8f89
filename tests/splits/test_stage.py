"""split-ratings: given splits, what leaks between sets, and what a change of the split reruns."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from emberline.errors import DataError
from emberline.runs.runner import Outcome

Run = Callable[..., list[Outcome]]
Read = Callable[[str], pa.Table]
PIPELINE = """
[ratings]
path = "log.csv"
columns = { user_id = "u", item_id = "i", value = "v", split = "set" }
"""
LOG = [("ann", "a", "train"), ("ann", "b", "Test"), ("ann", "c", "dev"), ("bob", "a", "train")]
LOG += [("bob", "b", "training"), ("bob", "d", "test"), ("cyd", "c", "train")]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [f"{user},{item},3,{name}" for user, item, name in LOG]
    (tmp_path / "log.csv").write_text("\n".join(["u,i,v,set", *lines]) + "\n")
    return tmp_path


def _sets(read: Read) -> dict[tuple[str, str], str]:
    """The set of each pair of outside ids, as the datasets have it."""
    users = dict(
        zip(*(read("users")[name].to_pylist() for name in ("user", "user_id")), strict=True)
    )
    items = dict(
        zip(*(read("items")[name].to_pylist() for name in ("item", "item_id")), strict=True)
    )
    rows = [
        (users[row["user"]], items[row["item"]], name)
        for name in ("ratings", "validation", "holdout")
        for row in read(name).to_pylist()
    ]
    found = {(user, item): name for user, item, name in rows}
    assert len(found) == len(rows)
    return found


def test_a_published_split_is_reproduced_by_a_column_and_by_files_and_prepared_once(
    run: Run, read: Read, log: Path
) -> None:
    names = {"train": "ratings", "training": "ratings", "dev": "validation", "test": "holdout"}
    expected = {(user, item): names[name.lower()] for user, item, name in LOG}
    run(PIPELINE + '[split]\nby = "column"\n')
    assert _sets(read) == expected
    (log / "test.csv").write_text("user_id,item_id\nann,b\nbob,d\nnobody,a\n")
    (log / "dev.csv").write_text("item;who\nc;ann\n")
    prepared, split = run(
        PIPELINE
        + '[split]\nby = "given"\npairs = "test.csv"\n'
        + '[split.validation]\nby = "given"\n'
        + 'pairs = { path = "dev.csv", separator = ";", user_id = "who", item_id = "item" }\n'
    )
    assert _sets(read) == expected
    assert (prepared.action, split.action) == ("skip", "run")
    assert split.metrics["given_holdout"] == {"pairs": 3, "unknown": 1}
    assert split.metrics["split"] == {"kept": 7, "ratings": 4, "validation": 1, "holdout": 2}


@pytest.mark.parametrize(
    ("test", "dev", "settings", "message"),
    [
        ("ann,b\n", "ann,b\n", "", r"user 'ann' and item 'b' are in two sets: holdout .*test\.csv:"
         r" ann,b'\) and validation .*dev\.csv: ann,b'\)"),
        ("ann,b\n", "cyd,c\n", "cold = true", r"item 'b' is cold in holdout \(by user 'ann'\), and"
         r" rated in ratings \(by user 'bob'\)"),
        ("x,b\n", "ann,c\n", "", "none of the 1 pairs given for holdout is an interaction"),
    ],
)  # fmt: skip
def test_what_leaks_between_given_sets_is_named(
    run: Run, log: Path, test: str, dev: str, settings: str, message: str
) -> None:
    (log / "test.csv").write_text("user_id,item_id\n" + test)
    (log / "dev.csv").write_text("user_id,item_id\n" + dev)
    given = f'[split]\nby = "given"\n[split.pairs]\npath = "test.csv"\n{settings}\n'
    given += '[split.validation]\nby = "given"\npairs = "dev.csv"\n'
    with pytest.raises(DataError, match=message):
        run(PIPELINE + given)


def test_pairs_listed_twice_in_one_set_are_one(run: Run, read: Read, log: Path) -> None:
    (log / "test.csv").write_text("user_id,item_id\nann,b\nann,b\nbob,d\nann,b\n")
    _, split = run(PIPELINE + '[split]\nby = "given"\npairs = "test.csv"\n')
    assert split.metrics["given_holdout"] == {"pairs": 2, "unknown": 0}
    assert {pair for pair, name in _sets(read).items() if name == "holdout"} == {
        ("ann", "b"),
        ("bob", "d"),
    }


def test_an_item_that_is_cold_and_for_validation_leaks(run: Run, log: Path) -> None:
    (log / "test.csv").write_text("user_id,item_id\nann,a\nann,c\n")
    (log / "dev.csv").write_text("user_id,item_id\nbob,a\ncyd,c\n")
    given = '[split]\nby = "given"\n[split.pairs]\npath = "test.csv"\ncold = true\n'
    given += '[split.validation]\nby = "given"\npairs = "dev.csv"\n'
    told = (
        r"item 'a' is cold in holdout \(by user 'ann'\), and rated in validation \(by user 'bob'\)"
    )
    with pytest.raises(DataError, match=told):
        run(PIPELINE + given)
    (log / "test.csv").write_text("user_id,item_id\nann,b\nbob,b\n")
    (log / "dev.csv").write_text("user_id,item_id\nbob,a\n")
    run(PIPELINE + given)
