"""Events of one user and item become one, titles are the newest, and sets do not mix."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from math import inf
from typing import Any

import pyarrow as pa
import pytest
from tests.flows import rows_of

from emberline.cleaning import codes, events
from emberline.errors import DataError
from emberline.flow.rows import Flow, Rows
from emberline.raw import ids, pairs

Event = dict[str, Any]


def _cleaned(flow: Flow, rows: list[Event], parts: int = 2) -> Rows:
    """Good events: a value of 1 where none is said."""
    table = pa.Table.from_pylist(
        [{"value": 1.0, "source_file": "f"} | row for row in rows], events.SCHEMA
    )
    return rows_of(flow, table, parts)


def _merged(cleaned: Rows, keep: str) -> list[Event]:
    """MERGED, with the outside ids."""
    coded = {
        side: ids.coded_ids(cleaned, f"{side}_id", f"{side}_spelling") for side in ("user", "item")
    }
    named = {
        side: {row["code"]: row["id"] for row in rows.table().to_pylist()}
        for side, rows in coded.items()
    }
    found = pairs.merge(cleaned, coded["item"], keep).table().to_pylist()
    return [row | {side: named[side][row[side]] for side in named} for row in found]


def _events(count: int, seed: int) -> list[Event]:
    """Few of each, so that times and values tie."""
    rng = random.Random(seed)
    return [
        {
            "user_id": f"u{rng.randrange(6)}",
            "item_id": f"i{rng.randrange(5)}",
            "value": rng.choice([0.5, 1.0, 2.5, -1.0]),
            "timestamp": rng.choice(
                [None, *(datetime.fromtimestamp(s, UTC) for s in (0, 60, 120))]
            ),
            "source_file": rng.choice(["a.csv", "b.csv"]),
            "raw": f"line {rng.randrange(200)}",
        }
        for _ in range(count)
    ]


def _lateness(row: Event) -> tuple[float, float, str, str]:
    moment = inf if row["timestamp"] is None else -row["timestamp"].timestamp()
    return moment, -row["value"], row["source_file"], row["raw"]


@pytest.mark.parametrize("keep", ["latest", "sum", "max"])
@pytest.mark.parametrize("parts", [1, 5])
def test_merging_keeps_one_row_of_a_pair_whatever_the_parts(
    flow: Flow, keep: str, parts: int
) -> None:
    rows = _events(400, seed=3)
    by_pair: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for row in rows:
        by_pair[row["user_id"], row["item_id"]].append(row)
    expected = {}
    for pair, same in by_pair.items():
        latest, values = min(same, key=_lateness), [row["value"] for row in same]
        value = {"latest": latest["value"], "sum": sum(values), "max": max(values)}[keep]
        expected[pair] = (value, latest["timestamp"], latest["source_file"], latest["raw"])
    merged = _merged(_cleaned(flow, rows, parts), keep)
    found = {
        (row["user"], row["item"]): (row["value"], row["timestamp"], row["source_file"], row["raw"])
        for row in merged
        if row["latest"]
    }
    assert found == expected
    assert sum(row["latest"] for row in merged) == len(expected)
    told = Counter((row["user"], row["item"], row["source_file"], row["raw"]) for row in merged)
    assert told == Counter(
        (row["user_id"], row["item_id"], row["source_file"], row["raw"]) for row in rows
    )


def test_equally_late_rows_of_every_pair_are_taken_in_the_order_of_their_texts(flow: Flow) -> None:
    rows = [
        {"user_id": f"u{user}", "item_id": "i", "source_file": file, "raw": raw}
        for user in range(50)
        for file, raw in (("b", "1"), ("a", "10"), ("a", "2"), ("c", "0"))
    ]
    merged = _merged(_cleaned(flow, rows), "latest")
    latest = {row["user"]: (row["source_file"], row["raw"]) for row in merged if row["latest"]}
    assert latest == {f"u{user}": ("a", "10") for user in range(50)}


def test_items_whose_hashes_are_equal_are_told_apart_by_another_salt(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = codes.hash_of

    def narrow(texts: pa.Array, salt: int = 0) -> Any:
        return plain(texts, salt) % (3 if salt < 4 else 2**40)

    monkeypatch.setattr(codes, "hash_of", narrow)
    rows = [{"user_id": "u", "item_id": f"i{n}", "raw": str(n)} for n in range(40)]
    merged = _merged(_cleaned(flow, rows), "latest")
    assert {row["item"]: row["raw"] for row in merged} == {f"i{n}": str(n) for n in range(40)}


def test_a_title_is_the_newest_that_is_there(flow: Flow) -> None:
    said = [("a", "old", 1), ("a", "new", 9), ("a", None, 10), ("b", "x", None), ("b", "y", None)]
    said += [("c", None, 5), ("d", "t", 0), ("d", "undated", None)]
    rows = [
        {
            "item_id": item,
            "title": title,
            "timestamp": None if time is None else datetime.fromtimestamp(time, UTC),
        }
        for item, title, time in said
    ]
    for parts in (1, 3):
        coded = ids.coded_ids(_cleaned(flow, rows, parts), "item_id", "item_spelling", True)
        titles = {row["id"]: row["title"] for row in coded.table().to_pylist()}
        assert titles == {"a": "new", "b": "y", "c": None, "d": "t"}


def test_spellings_of_an_id_besides_the_first_are_counted_over_all_parts(flow: Flow) -> None:
    said = [("a", None), ("a", "A"), ("a", "A"), ("a", " a"), ("b", "B"), ("c", None), ("d", "x")]
    rows = [{"user_id": user, "user_spelling": spelling} for user, spelling in [*said, ("d", "y")]]
    for parts in (1, 4):
        coded = ids.coded_ids(_cleaned(flow, rows, parts), "user_id", "user_spelling")
        assert ids.facts_of(coded).joined == 2 + 0 + 0 + 1
        assert ids.facts_of(coded).ids == 4


def _sets(flow: Flow, rows: list[tuple[str, str, str, str, str]]) -> None:
    names = ("user_id", "item_id", "split", "source_file", "raw")
    cleaned = _cleaned(flow, [dict(zip(names, row, strict=True)) for row in rows])
    items = ids.coded_ids(cleaned, "item_id", "item_spelling")
    pairs.check_sets(pairs.merge(cleaned, items, "latest"), "correct it")


def test_rows_of_one_pair_in_two_sets_are_refused_with_both_places(flow: Flow) -> None:
    fine = [("u", "i", "train", "a.csv", "1"), ("u", "j", "test", "a.csv", "2")]
    _sets(flow, [*fine, fine[0]])
    with pytest.raises(
        DataError, match=r"user 'u' and item 'j' are in two sets: test \('a\.csv: 2'\) and train"
        r" \('b\.csv: 3'\); .* made from: correct it",
    ):  # fmt: skip
        _sets(flow, [*fine, ("u", "j", "train", "b.csv", "3")])


def test_of_many_pairs_in_two_sets_the_first_by_its_ids_is_told(flow: Flow) -> None:
    both = [
        (user, item, name, "f", f"{user},{item}")
        for user in ("w", "v")
        for item in ("z", "b", "y")
        for name in ("train", "validation")
    ]
    with pytest.raises(DataError, match="user 'v' and item 'b' are in two sets: train"):
        _sets(flow, both)
