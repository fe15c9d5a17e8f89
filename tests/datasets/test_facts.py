"""What a manifest says of its dataset: what is written is read again, and what is none of it is
refused by name.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import values

from emberline.datasets import facts
from emberline.datasets.facts import (
    KINDS,
    Accounts,
    Capped,
    Channels,
    Holdout,
    Indices,
    Pictures,
    Spellings,
    Targets,
    Task,
)
from emberline.datasets.info import Facts
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.errors import ManifestError


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_is_written_is_read_again(kind: type[Facts], data: st.DataObject) -> None:
    said = data.draw(values(kind))
    again = json.loads(json.dumps(said.to_json()))
    assert kind.from_json({"somebody's": "else", **again}) == said


def test_every_kind_is_in_the_table_and_no_two_say_one_field() -> None:
    assert {Accounts, Pictures, Targets} <= set(KINDS)
    names = [name for kind in KINDS if kind is not facts.AlsTraining for name in kind.names()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "info", "message"),
    [
        (Pictures, {"height": 1, "width": 1}, "info.channels is missing"),
        (Pictures, {}, "info.height is missing"),
        (Pictures, {"height": True, "width": 1, "channels": 1}, "info.height: expected a whole"),
        (Pictures, {"height": -1, "width": 1, "channels": 1}, "found -1"),
        (Channels, {"mean": [0.5], "std": ["x"]}, r"info.std\[0\]: expected a number, found 'x'"),
        (Channels, {"mean": {}, "std": []}, "info.mean: expected a list, found an object"),
        (Accounts, {"accounts": {"read": 1.5}}, "info.accounts.read: expected a whole number"),
        (Accounts, {"accounts": []}, "info.accounts: expected an object, found a list"),
        (Spellings, {"joined": "3"}, "info.joined: expected an object or a whole number from 0"),
        (Spellings, {"joined": {"users": "3"}}, "info.joined.users: expected a whole number"),
        (Indices, {"next_index": 2**63}, "info.next_index: expected a whole number"),
        (Task, {"task": "both"}, "info.task: expected class or factors, found 'both'"),
        (Targets, {"target_mean": None}, "info.target_std is missing"),
        (Capped, {"ratings_left_out": 1, "recall": "", "recall_rows": 1}, "info.recall: expected"),
        (Holdout, {"protocol": {}, "data": {"rows": 1}}, "info.data.hash is missing"),
        (
            Holdout,
            {"protocol": {}, "data": {"rows": 1, "hash": "a", "marks": "", "salt": 1}},
            "info.data.salt is not known",
        ),
    ],
)
def test_what_is_no_fact_is_refused_by_name(
    kind: type[Facts], info: dict[str, Any], message: str
) -> None:
    by = ProducedBy("sow", "0" * 64, "20250101T000000-00000000")
    manifest = Manifest("seeds", "artifact", [], 0, [], by, info=info)
    with pytest.raises(ManifestError, match=message) as refused:
        manifest.facts(kind)
    text = str(refused.value)
    assert "\n" not in text
    assert "seeds" in text
    assert "rerun sow" in text


def test_a_kind_of_which_nothing_is_said_is_none() -> None:
    by = ProducedBy("sow", "0" * 64, "20250101T000000-00000000")
    manifest = Manifest("seeds", "artifact", [], 0, [], by, info={"next_index": 3})
    assert manifest.given(Indices) == Indices(3)
    assert manifest.given(Pictures) is None


def test_a_fact_is_given_once() -> None:
    with pytest.raises(AssertionError, match="next_index was already given"):
        facts.merged([Indices(1), Pictures(1, 1, 1), Indices(2)])
