"""Pictures and sounds are named by items' ids, of which nothing is left with pseudonyms."""

import io
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.privacy.conftest import item_id, places_of, rows_of, run_in, write_shop
from tests.privacy.test_pseudonyms import SECRET, by_hand
from tests.sounds.odd import TONE, encoded

from emberline.errors import ConfigError

TOML = """
[ratings]
path = "log.csv"
columns = { user_id = "who", item_id = "what", value = "stars", timestamp = "at", title = "name" }
max_value = 5.0
max_rejected = 0.2

[images]
path = "pictures"
labels = "folder"
height = 8
width = 8

[sounds]
path = "sounds/list.csv"
columns = { item_id = "what", sound = "path", group = "who" }
rate = 8000

[privacy]
pseudonyms = "both"
key_file = "the.key"
min_users = 1
"""
PICTURES = "prepare-images"


def picture(level: int) -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(written, "PNG")
    return written.getvalue()


def write_media(folder: Path) -> None:
    """Pictures whose paths are ids (sku/00001.png and so on), one of them broken, what is passed
    over, and a list of sounds, one of which is missing.
    """
    (folder / "pictures" / "sku").mkdir(parents=True)
    for item in range(12):
        (folder / "pictures" / "sku" / f"{item:05d}.png").write_bytes(picture(item))
    (folder / "pictures" / "sku" / "00099.png").write_bytes(b"no picture")
    (folder / "pictures" / "sku" / ".00098.png").write_bytes(b"hidden")
    (folder / "sounds").mkdir()
    lines = ["what,path,who"]
    for item in range(5):
        name = f"sku-{item:05d}.wav"
        lines.append(f"{item_id(item)},{name},speaker {item % 2}")
        if item != 4:
            (folder / "sounds" / name).write_bytes(encoded(TONE))
    (folder / "sounds" / "list.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a root, and the log of the runs."""
    folder = tmp_path_factory.mktemp("media")
    write_shop(folder)
    write_media(folder)
    (folder / "the.key").write_text(SECRET)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("emberline")
    level, _ = logger.level, logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        run_in(folder, TOML)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return folder, stream.getvalue()


@pytest.fixture
def copy(made: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def test_no_id_and_no_name_of_a_file_is_in_the_root_or_in_the_log(made: tuple[Path, str]) -> None:
    folder, log = made
    for text in ("sku/0", "sku-0", "00003.png", "00098", "00099", "zoe-"):
        assert places_of(folder / "root", text) == [], text
        assert text not in log
    assert "stage_finished stage=prepare-images" in log and "passed_over" in log


def test_pictures_and_sounds_are_those_of_the_items_of_the_log(made: tuple[Path, str]) -> None:
    """A picture's id is its path here, so its item is another one than the log's."""
    folder, _ = made
    items = {row["item_id"]: row["item"] for row in rows_of(folder, "items").to_pylist()}
    sounds = {row["item_id"]: row for row in rows_of(folder, "sounds").to_pylist()}
    assert set(sounds) == {by_hand("item", item_id(item)) for item in range(4)}
    assert all(items[name] == row["item"] for name, row in sounds.items())
    pictures = rows_of(folder, "images").to_pylist()
    paths = {by_hand("item", f"sku/{item:05d}.png"): item for item in range(12)}
    assert {row["item_id"]: row["pixels"][0] for row in pictures} == paths
    assert sounds[by_hand("item", item_id(3))]["group"] == "speaker 1"


def test_what_is_rejected_is_told_by_a_pseudonym_that_its_path_gives(
    made: tuple[Path, str],
) -> None:
    (broken,) = rows_of(made[0], "rejected_images").to_pylist()
    assert broken["source_file"] == f"{by_hand('file', 'sku/00099.png')}.png"
    assert broken["item_id"] == by_hand("item", "sku/00099.png")
    (missing,) = rows_of(made[0], "rejected_sounds").to_pylist()
    assert missing["source_file"] == f"{by_hand('file', 'sku-00004.wav')}.wav"
    assert missing["reason"] == "no such file, or one that cannot be read"


def test_files_of_the_same_content_are_not_read_again_and_a_new_one_is(copy: Path) -> None:
    for path in (copy / "pictures" / "sku").iterdir():
        os.utime(path, (1, 1))
    (again,) = run_in(copy, TOML, only=PICTURES)
    assert again.action == "skip"
    (copy / "pictures" / "sku" / "00077.png").write_bytes(picture(77))
    (more,) = run_in(copy, TOML, only=PICTURES)
    name = f"{by_hand('file', 'sku/00077.png')}.png"
    assert (more.action, more.reason) == ("run", f"1 file is new: {name}")
    assert len(rows_of(copy, "images")) == 13


def test_an_error_names_no_file_either(copy: Path) -> None:
    (copy / "pictures" / "test" / "sku").mkdir(parents=True)
    (copy / "pictures" / "test" / "sku" / "00055.png").write_bytes(picture(55))
    with pytest.raises(ConfigError, match="seems to be of a split") as told:
        run_in(copy, TOML, only=PICTURES)
    assert "000" not in str(told.value) and ".png" in str(told.value)
    assert places_of(copy / "root" / "_status", "000") == []


def test_groups_by_a_pattern_of_ids_are_refused(copy: Path) -> None:
    shards = '[shards]\ntask = "class"\ngroup = { pattern = "0" }\n'
    with pytest.raises(ConfigError, match="finds groups in items' ids, which are pseudonyms"):
        run_in(copy, TOML + shards)
