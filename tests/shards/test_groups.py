"""Groups of items: whole in one set, whoever says which, and none in two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.errors import DataError
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]
INFO = {"height": 1, "width": 2, "channels": 1, "mean": [0.1], "std": [0.4]}
HEARD = {"rate": 8000, "sound_seconds": 1.0, "window": 256, "hop": 128, "decibels": 80.0}
SPEAKERS = [f"speaker{number}" for number in range(40)]
PATTERN = {"pattern": "_(speaker[0-9]+)_"}


def sounds(speakers: list[str], **cells: Any) -> list[Row]:
    """Four recordings of each speaker, of two classes, every fifth without one."""
    ids = [f"{take % 2}_{speaker}_{take}" for speaker in speakers for take in range(4)]
    return [
        {"item": item, "item_id": name, "label": name[0] if item % 5 else None, "pixels": b"ab"}
        | {"split": None}
        | cells
        for item, name in enumerate(ids)
    ]


@pytest.fixture
def split(publish: Publish, root: Path) -> Callable[..., dict[str, set[str]]]:
    """`split(rows, **group)`: in which of the sets each speaker is."""

    def export(
        rows: list[Row], shares: Row | None = None, given: Row | None = None, **group: Any
    ) -> dict[str, set[str]]:
        publish(root, "prepare-sounds", "sounds", rows, **INFO, **HEARD, splits=given or {})
        shards = {"of": "sounds", "task": "class", "group": group, "seed": 3, **(shares or {})}
        columns = {"item_id": "i", "sound": "s", "group": "g"}
        unread = {"path": "unread"} | ({"columns": columns} if "column" in group else {})
        sections = {"sounds": unread, "shards": shards, "spark": {"engine": "here"}}
        config = Config.model_validate(sections)
        runner.run(config, root, stages.select(config, "export-shards"), force=True)
        found: dict[str, set[str]] = {}
        for path in manifests.load(root, "shards_all").paths:
            for row in pq.read_table(path).to_pylist():
                if row["split"] != "none":
                    found.setdefault(row["item_id"].split("_")[1], set()).add(row["split"])
        return found

    return export


def test_every_group_is_whole_in_one_set(split: Callable[..., dict[str, set[str]]]) -> None:
    found = split(sounds(SPEAKERS), {"val": 0.2, "test": 0.3}, **PATTERN)
    assert found.keys() == set(SPEAKERS)
    assert all(len(sets) == 1 for sets in found.values())
    counts = [sum({name} == sets for sets in found.values()) for name in ("train", "val", "test")]
    assert counts[0] > 10 and counts[1] > 2 and counts[2] > 5


def test_a_group_keeps_its_set_when_others_arrive(
    split: Callable[..., dict[str, set[str]]],
) -> None:
    shares = {"val": 0.2, "test": 0.3}
    before = split(sounds(SPEAKERS[:20]), shares, **PATTERN)
    after = split(sounds(SPEAKERS), shares, **PATTERN)
    assert {name: after[name] for name in before} == before


def test_those_that_are_named_are_tested_on_whatever_the_publisher_says(
    split: Callable[..., dict[str, set[str]]],
) -> None:
    rows = sounds(SPEAKERS[:6])
    for row in rows:
        row["split"] = "test" if row["item_id"].endswith("0") else "train"
    given = {"test": 6, "train": 18}
    found = split(rows, {"val": 0.001}, given, test=["speaker2"], **PATTERN)
    assert [name for name, sets in found.items() if sets == {"test"}] == ["speaker2"]
    # of five others none is below a thousandth by hash: one is drawn nevertheless
    assert sum(sets == {"val"} for sets in found.values()) == 1
    assert all(len(sets) == 1 for sets in found.values())


def test_a_publishers_split_that_cuts_a_group_is_refused(
    split: Callable[..., dict[str, set[str]]],
) -> None:
    rows = sounds(SPEAKERS[:6])
    for row in rows:
        row["split"] = "test" if row["item_id"] == "1_speaker3_1" else "train"
    with pytest.raises(DataError, match=r"the group 'speaker3' is in \w+ and in \w+, as the pub"):
        split(rows, given={"test": 1, "train": 23}, **PATTERN)


def test_a_publishers_split_of_whole_groups_is_kept(
    split: Callable[..., dict[str, set[str]]],
) -> None:
    rows = sounds(SPEAKERS[:12])
    for row in rows:
        row["split"] = "test" if "speaker3" in row["item_id"] else "train"
    found = split(rows, given={"test": 4, "train": 44}, **PATTERN)
    assert [name for name, sets in found.items() if sets == {"test"}] == ["speaker3"]


def test_an_item_of_no_group_and_a_group_of_no_item_are_named(
    split: Callable[..., dict[str, set[str]]],
) -> None:
    with pytest.raises(DataError, match="belongs to no group"):
        split(sounds(SPEAKERS[:3]), pattern="_(alice)_")
    with pytest.raises(DataError, match="nothing belongs to 'speaker9'; groups are as"):
        split(sounds(SPEAKERS[:3]), test=["speaker9", "speaker1"], **PATTERN)


def test_a_column_of_attributes_may_say_the_group(publish: Publish, root: Path) -> None:
    rows = sounds(SPEAKERS[:6])
    publish(root, "prepare-sounds", "sounds", rows, **INFO, **HEARD)
    nothing: Row = {"genres": [], "tags": [], "numbers": []}
    said = [
        {"item": row["item"], "item_id": row["item_id"], "text": f"room {row['item'] % 3}"}
        | nothing
        for row in rows
    ]
    publish(root, "prepare-items", "item_attributes", said)
    group = {"column": "text", "test": ["room 2"]}
    config = Config.model_validate(
        {
            "attributes": {"items": {"path": "unread", "columns": {"id": "i", "text": "t"}}},
            "sounds": {"path": "unread"},
            "shards": {"of": "sounds", "task": "class", "group": group},
            "spark": {"engine": "here"},
        }
    )
    runner.run(config, root, stages.select(config, "export-shards"))
    (path,) = manifests.load(root, "shards_test").paths
    tested = {row["item"] % 3 for row in pq.read_table(path).to_pylist()}
    assert tested == {2}
    val = manifests.load(root, "shards_val").paths
    assert len({row["item"] % 3 for path in val for row in pq.read_table(path).to_pylist()}) == 1


def test_groups_may_be_a_column_of_their_own(split: Callable[..., dict[str, set[str]]]) -> None:
    """Which items' ids do not say."""
    rows = [row | {"group": f"room {int(row['item']) // 8}"} for row in sounds(SPEAKERS)]
    found = split(rows, {"val": 0.2, "test": 0.3}, column="group")
    rooms = [
        found[one] | found[other] for one, other in zip(SPEAKERS[::2], SPEAKERS[1::2], strict=True)
    ]
    assert all(len(sets) == 1 for sets in rooms) and len(set.union(*rooms)) == 3
    told = "speaker0_1 belongs to no group: shards.group.column has nothing for it"
    lost = [row | {"group": None if row["item"] == 1 else row["group"]} for row in rows]
    with pytest.raises(DataError, match=told):
        split(
            [row | {"label": str(row["item"] % 2)} for row in lost],
            {"val": 0.2, "test": 0.3},
            column="group",
        )
