"""Settings of sounds, and of what is learnt from them, that contradict each other."""

from typing import Any

import pytest
from pydantic import ValidationError

from emberline.sections.config import Config

Row = dict[str, Any]
SOUNDS: Row = {"sounds": {"path": "p"}}
SHARDS: Row = {"of": "sounds", "task": "class"}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"sounds": {"path": "p", "window": 511}}, "window = 511 is not an even number"),
        ({"sounds": {"path": "p", "bands": 300}}, "bands = 300 are more than the 256 frequencies"),
        ({"sounds": {"path": "p", "seconds": 700.0}}, "max_seconds = 600 refuses sounds"),
        (
            {"sounds": {"path": "p", "labels": "folder", "names": {"label": "x"}}},
            "both say the label",
        ),
        ({"sounds": {"path": "p", "names": {"test": "("}}}, "not a regular expression"),
        (SOUNDS | {"shards": {"task": "class"}}, r'for \[sounds\] set shards.of = "sounds"'),
        ({"shards": SHARDS}, r"\[shards\] needs a section \[sounds\]"),
        (SOUNDS | {"shards": SHARDS | {"group": {}}}, "give either pattern or column"),
        (
            SOUNDS | {"shards": SHARDS | {"group": {"column": "text"}}},
            r'shards.group.column = "text" needs a section \[attributes\]',
        ),
        (
            SOUNDS | {"shards": SHARDS | {"task": "factors", "group": {"pattern": "x"}}},
            "the items of split.cold_items are tested on: remove group",
        ),
        (
            SOUNDS | {"shards": SHARDS, "cnn": {"input": {"flip": True}}},
            "cnn.input.flip mirrors pictures",
        ),
        (
            {
                "images": {"path": "p"},
                "shards": {"task": "class"},
                "cnn": {"input": {"gain": 3.0}},
            },
            "cnn.input.gain is for spectrograms",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_told(sections: Row, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(sections)


def test_sounds_can_be_played_where_they_are_recommended() -> None:
    shop = {"ratings": {"path": "p", "columns": {"user_id": "u", "item_id": "i"}, "value": "one"}}
    lists = shop | {"als": {}, "recommend": {}}
    seconds = [
        sounds.clip_seconds
        for sections in (
            SOUNDS,
            SOUNDS | lists,
            {"sounds": {"path": "p", "clip_seconds": 1.0}} | lists,
        )
        if (sounds := Config.model_validate(sections).sounds)
    ]
    assert seconds == [0.0, 2.0, 1.0]


def test_a_shop_may_have_both_and_learn_from_one() -> None:
    both = SOUNDS | {"images": {"path": "q"}, "shards": SHARDS, "cnn": {}}
    config = Config.model_validate(both)
    assert config.shards is not None and config.shards.of == "sounds"
