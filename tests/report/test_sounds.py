"""Sounds in the report: spectrograms for pictures, and something to be played of what is
recommended.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner

Publish = Callable[..., None]
PIPELINE = """
[ratings]
path = "none.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[split]
by = "fraction"
fraction = 0.5
[sounds]
path = "none"
[als]
[recommend]
top_k = 3
[evaluate]
k = [3]
[report]
users = 2
"""
FACTS = {"height": 2, "width": 3, "channels": 1, "accounts": {"read": 4, "kept": 3, "rejected": 1}}


@pytest.fixture
def html(root: Path, tmp_path: Path, write_ratings: Any, publish: Publish) -> str:
    """The page of a shop of sounds, of which the second cannot be played."""
    write_ratings(root)
    rows = [
        {"item": item, "item_id": f"i-{item}", "label": None, "split": None}
        | {"pixels": bytes(range(6)), "clip": None if item == 1 else b"RIFF%d" % item}
        for item in range(3)
    ]
    publish(root, "prepare-sounds", "sounds", rows, **FACTS, reasons={"empty file": 1})
    publish(root, "prepare-sounds", "rejected_sounds", [])
    path = tmp_path / "p.toml"
    path.write_text(PIPELINE, encoding="utf-8")
    config = pipelines.load(path)
    runner.run(config, root, stages.select(config, only="report"), force=True)
    return manifests.load(root, "report").paths[0].read_text(encoding="utf-8")


def test_what_is_recommended_can_be_played_where_there_is_a_sound(html: str) -> None:
    played = {item: base64.b64encode(b"RIFF%d" % item).decode() for item in (0, 1, 2)}
    there = {
        item: f'<audio controls preload="none" src="data:audio/wav;base64,{data}"' in html
        for item, data in played.items()
    }
    assert not there[1] and any(there.values())
    assert "media-src data:" in html


def test_spectrograms_stand_where_pictures_would(html: str) -> None:
    assert 'src="data:image/png;base64,' in html


def test_accounts_are_those_of_sounds(html: str) -> None:
    assert "Sounds" in html and "empty file" in html
