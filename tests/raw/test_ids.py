"""The id maps: dense, in the order of text, and append-only."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.flows import rows_of

from emberline import stages
from emberline.cleaning import events
from emberline.datasets import manifest as manifests
from emberline.errors import DataError
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.raw import ids
from emberline.raw.ids import Known
from emberline.runs import runner
from emberline.sections.config import Config

Map = dict[int, str]
Publish = Callable[..., None]
Extend = Callable[..., Map]


@pytest.fixture
def extend(flow: Flow, publish: Publish, tmp_path: Path) -> Extend:
    """`extend(previous, ids, parts)`: the map of items that `previous` and then some ids make."""
    return _extend_on(flow, publish, tmp_path)


def _extend_on(flow: Flow, publish: Publish, tmp_path: Path) -> Extend:
    def extended(previous: Map | None, texts: list[str], parts: int = 2) -> Map:
        known = []
        if previous is not None:
            rows = [{"item": item, "item_id": text} for item, text in previous.items()]
            publish(tmp_path, "prepare-ratings", "items", rows)
            known = [manifests.load(tmp_path, "items")]
        events_ = [{"item_id": text} for text in texts]
        rows = rows_of(flow, pa.Table.from_pylist(events_, events.SCHEMA), parts)
        coded = ids.coded_ids(rows, "item_id", "item_spelling")
        numbered = ids.number(flow, coded, Known("item", known))
        found = numbered.rows.table().select(["index", "id"]).to_pylist()
        made = {row["index"]: row["id"] for row in found}
        assert len(made) == len(set(made.values())) == len(found)
        assert numbered.next_index == max(made, default=-1) + 1
        return made

    return extended


def _random_ids(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("aZ09-_ éß日😀", k=rng.randint(1, 8))) for _ in range(count)]


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_ids_are_numbered_from_zero_in_the_order_of_their_text(extend: Extend) -> None:
    texts = [*_random_ids(700, seed=1), "10", "9", "a", "Z", "", " "]
    assert extend(None, texts * 2) == dict(enumerate(sorted(set(texts))))


def test_the_numbers_do_not_depend_on_partitions_or_order(extend: Extend) -> None:
    texts = _random_ids(50, seed=2)
    expected = dict(enumerate(sorted(set(texts))))
    for partitions in (1, 9, 60):
        assert (
            extend(None, random.Random(partitions).sample(texts, len(texts)), partitions)
            == expected
        )


def test_more_ranges_than_ids_leave_no_gap(publish: Publish, tmp_path: Path) -> None:
    with Here(memory=1 << 30, cores=14) as flow:
        extend = _extend_on(flow, publish, tmp_path)
        assert extend(None, ["b", "d", "a", "c", "e", "a"]) == dict(enumerate("abcde"))
        assert extend({0: "c", 1: "x"}, ["b", "c", "d", "y"]) == dict(enumerate("cxbdy"))


def test_an_id_keeps_its_number_over_runs_also_when_it_is_away_for_one(extend: Extend) -> None:
    first = extend(None, ["m", "z", "c"])
    second = extend(first, ["a", "z", "b"])
    third = extend(second, ["c", "aa", "m", "0"])
    assert first == dict(enumerate("cmz"))
    assert second == dict(enumerate(["c", "m", "z", "a", "b"]))
    assert third == dict(enumerate(["c", "m", "z", "a", "b", "0", "aa"]))


def test_nothing_new_leaves_the_map_as_it_is(extend: Extend) -> None:
    assert extend({0: "b", 1: "a"}, []) == extend({0: "b", 1: "a"}, ["a"]) == {0: "b", 1: "a"}


def test_no_ids_make_an_empty_map_that_can_grow(extend: Extend) -> None:
    assert extend(None, []) == {}
    assert extend({}, ["a"]) == {0: "a"}


def test_ids_that_begin_alike_are_in_the_order_of_their_ends(extend: Extend) -> None:
    texts = [f"{'x' * 40}{end}" for end in ("b", "", "a", "\U0001f600", "é")]
    assert extend(None, texts * 3) == dict(enumerate(sorted(texts)))


def test_more_ids_than_an_int32_can_number_are_a_data_error(extend: Extend) -> None:
    assert extend({2**31 - 3: "b"}, ["a"]) == {2**31 - 3: "b", 2**31 - 2: "a"}
    with pytest.raises(
        DataError,
        match="2147483648 ids of items: an index is an int32, so 2147483647 is the most",
    ):
        extend({2**31 - 3: "b"}, ["a", "c"])


# --------------------------------------------------------------------------------------------------
# one index space over several datasets


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return file.getvalue()


def _prepare(folder: Path, section: str, items: list[str]) -> dict[str, Map]:
    """Run the stage of one section on the items; the maps of all datasets that there are then."""
    if section == "images":
        pq.write_table(
            pa.table({"i": items, "p": [_png()] * len(items)}), folder / "images.parquet"
        )
        settings: dict[str, Any] = {
            "path": f"{folder}/images.parquet",
            "columns": {"item_id": "i", "image": "p"},
        }
    else:
        (folder / f"{section}.csv").write_text("i\n" + "\n".join(items))
        source: dict[str, Any] = {"path": f"{folder}/{section}.csv"}
        settings = (
            {"items": source | {"columns": {"id": "i"}}}
            if section == "attributes"
            else source | {"value": "one"}
        )
        if section == "ratings":
            settings["columns"] = {"user_id": "i", "item_id": "i"}
    config = Config.model_validate({section: settings})
    root = folder / "root"
    runner.run(config, root, stages.select(config))
    return {
        name: _read_map(root, name)
        for name in ("items", "item_attributes", "images")
        if manifests.exists(root, name)
    }


def _read_map(root: Path, name: str) -> Map:
    rows = [
        row for path in manifests.load(root, name).paths for row in pq.read_table(path).to_pylist()
    ]
    assert len({row["item"] for row in rows}) == len(rows)
    return {row["item"]: row["item_id"] for row in rows}


def _joint(maps: dict[str, Map]) -> Map:
    """All the maps as one; none gives an id another index than the others do, or an index to
    another id.
    """
    pairs = {pair for single in maps.values() for pair in single.items()}
    assert len(dict(pairs)) == len({item_id for _, item_id in pairs}) == len(pairs)
    return dict(pairs)


def test_an_item_keeps_the_index_that_pictures_or_attributes_gave_it_when_it_is_rated(
    tmp_path: Path,
) -> None:
    seen = _prepare(tmp_path, "images", ["p2", "p1", "both"])["images"]
    assert seen == {0: "both", 1: "p1", 2: "p2"}
    described = _prepare(tmp_path, "attributes", ["a", "both", "z"])["item_attributes"]
    assert described == {0: "both", 3: "a", 4: "z"}
    rated = _prepare(tmp_path, "ratings", ["b", "z", "p1", "both"])
    assert rated["items"] == {0: "both", 1: "p1", 4: "z", 5: "b"}
    assert _joint(rated) == {0: "both", 1: "p1", 2: "p2", 3: "a", 4: "z", 5: "b"}


@pytest.mark.faults
def test_an_index_whose_item_has_gone_is_given_to_no_other(tmp_path: Path) -> None:
    assert _prepare(tmp_path, "images", ["a", "b"])["images"] == {0: "a", 1: "b"}
    assert _prepare(tmp_path, "images", ["a"])["images"] == {0: "a"}
    assert _prepare(tmp_path, "images", ["a", "c"])["images"] == {0: "a", 2: "c"}


@pytest.mark.faults
def test_pictures_and_attributes_of_rated_items_have_the_ratings_indices(
    publish: Publish, tmp_path: Path
) -> None:
    publish(
        tmp_path / "root",
        "prepare-ratings",
        "items",
        [{"item": n, "item_id": item_id} for n, item_id in enumerate("mn")],
    )
    _prepare(tmp_path, "attributes", ["n", "a"])
    maps = _prepare(tmp_path, "images", ["a", "0", "m"])
    assert maps["item_attributes"] == {1: "n", 2: "a"}
    assert maps["images"] == {0: "m", 2: "a", 3: "0"}
    assert _joint(maps) == dict(enumerate(["m", "n", "a", "0"]))


@pytest.mark.parametrize("other", [{"item": 1, "item_id": "a"}, {"item": 0, "item_id": "b"}])
def test_datasets_that_contradict_each_other_are_a_data_error(
    publish: Publish, tmp_path: Path, other: dict[str, Any]
) -> None:
    publish(tmp_path / "root", "prepare-ratings", "items", [{"item": 0, "item_id": "a"}])
    publish(tmp_path / "root", "prepare-images", "images", [other | {"pixels": b"."}])
    with pytest.raises(
        DataError, match="give one item two indices: one was restored from another root"
    ):
        _prepare(tmp_path, "attributes", ["a"])
