"""prepare-sounds: every file of every kind becomes a spectrogram under an id, or a row that says
why not.
"""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from tests.sounds.odd import TONE, UNUSABLE, USABLE, encoded

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import GivenSplits, Pictures, Spectrograms
from emberline.errors import ConfigError, EmptyDatasetError
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.sounds.spectrogram import Mel, log_mel

Row = dict[str, Any]
SMALL = {"rate": 8000, "window": 256, "hop": 128, "bands": 40}


class Prepared:
    """What the stage makes of the files at a path."""

    def __init__(self, root: Path, path: Path, **settings: Any) -> None:
        sections = {"sounds": {"path": str(path)} | SMALL | settings, "spark": {"engine": "here"}}
        config = Config.model_validate(sections)
        runner.run(config, root, stages.select(config, "prepare-sounds"))
        self.manifest = manifests.load(root, "sounds").manifest
        self.info = self.manifest.info
        self.sounds = {row["item_id"]: row for row in rows_of(root, "sounds")}
        self.rejected = {row["source_file"]: row for row in rows_of(root, "rejected_sounds")}

    def levels(self, item_id: str) -> np.ndarray:
        """(bands, frames)"""
        shape = self.manifest.facts(Pictures).shape
        return np.frombuffer(self.sounds[item_id]["pixels"], np.uint8).reshape(shape[:2])


def rows_of(root: Path, name: str) -> list[Row]:
    rows: list[Row] = []
    for path in manifests.load(root, name).paths:
        rows += pq.read_table(path).to_pylist()
    return rows


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("odd")
    contents = USABLE | {name: content for name, (content, _) in UNUSABLE.items()}
    for name, content in contents.items():
        (folder / "sounds").mkdir(exist_ok=True)
        (folder / "sounds" / name).write_bytes(content)
    return Prepared(folder / "root", folder / "sounds", max_seconds=60.0, labels="folder")


def test_every_odd_file_is_in_one_table_with_its_reason(odd: Prepared) -> None:
    assert odd.sounds.keys() == USABLE.keys()
    assert odd.rejected.keys() == UNUSABLE.keys()
    for name, (content, reason) in UNUSABLE.items():
        assert odd.rejected[name]["reason"].startswith(reason)
        assert odd.rejected[name]["bytes"] == len(content)


def test_accounts_count_each_file_once(odd: Prepared) -> None:
    kept, rejected = len(USABLE), len(UNUSABLE)
    expected = {"read": kept + rejected, "kept": kept, "rejected": rejected}
    assert odd.info["accounts"] == expected and kept + rejected >= 40
    assert odd.info["reasons"] == Counter(row["reason"] for row in odd.rejected.values())


def test_the_mean_and_deviation_are_those_of_all_levels(odd: Prepared) -> None:
    levels = np.stack([odd.levels(item_id) for item_id in odd.sounds]) / 255
    assert odd.info["mean"] == pytest.approx([levels.mean()])
    assert odd.info["std"] == pytest.approx([levels.std()])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Prepared:
    path = shared_data / "spoken-digits" / "*_speaker[12]_0[0-9].wav"
    names = {"label": r"^(\d)_", "test": "_0[0-4]$"}
    return Prepared(tmp_path_factory.mktemp("digits"), path, names=names, clip_seconds=0.5)


def test_levels_are_decibels_below_the_loudest(digits: Prepared, shared_data: Path) -> None:
    for item_id in ("0_speaker1_00", "7_speaker2_09"):
        samples, rate = soundfile.read(shared_data / "spoken-digits" / f"{item_id}.wav")
        whole = np.pad(samples, (0, 8000))[:8000]
        decibels = log_mel(whole[None], Mel(rate, 256, 128, 40, 80.0))[0, ::-1]
        decibels = np.maximum(decibels - decibels.max(), -80)
        found = digits.levels(item_id) / 255 * 80 - 80
        np.testing.assert_allclose(found, decibels, atol=80 / 255 / 2 + 1e-3)


def test_names_say_the_label_and_the_test_set(digits: Prepared) -> None:
    assert len(digits.sounds) == 200
    for item_id, row in digits.sounds.items():
        assert row["label"] == item_id[0]
        assert row["split"] == ("test" if int(item_id[-2:]) < 5 else "train")
    assert digits.manifest.facts(GivenSplits).splits == {"train": 100, "test": 100}


def test_the_manifest_says_how_sounds_became_pictures(digits: Prepared) -> None:
    assert digits.manifest.facts(Spectrograms) == Spectrograms(8000, 1.0, 256, 128, 80.0)
    assert digits.manifest.facts(Pictures) == Pictures(40, 63, 1)


def test_what_can_be_played_is_a_small_sound_of_the_beginning(
    digits: Prepared, shared_data: Path
) -> None:
    clip = digits.sounds["3_speaker1_02"]["clip"]
    assert len(clip) < 4200
    played, rate = soundfile.read(io.BytesIO(clip))
    whole, _ = soundfile.read(shared_data / "spoken-digits" / "3_speaker1_02.wav")
    assert (rate, len(played)) == (8000, 4000)
    part = whole[:4000]
    np.testing.assert_allclose(played[: len(part)], part, atol=0.03 * np.abs(part).max())


def test_nothing_can_be_played_where_nothing_is_stored(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(TONE))
    found = Prepared(tmp_path / "root", tmp_path / "a.wav", clip_seconds=0.0)
    assert found.sounds["a"]["clip"] is None


def test_folders_are_labels_and_a_repeated_item_is_told(tmp_path: Path) -> None:
    for name in ("cat/1.wav", "dog/1.wav"):
        (tmp_path / "s" / name).parent.mkdir(parents=True)
        (tmp_path / "s" / name).write_bytes(encoded(TONE))
    by_folder = Prepared(tmp_path / "labelled", tmp_path / "s", labels="folder")
    labels = {item_id: row["label"] for item_id, row in by_folder.sounds.items()}
    assert labels == {"cat/1.wav": "cat", "dog/1.wav": "dog"}
    named = Prepared(tmp_path / "named", tmp_path / "s")
    assert named.sounds.keys() == {"1"}
    assert named.rejected["dog/1.wav"]["reason"] == "another sound of the same item"


def test_parquet_holds_encoded_sounds_as_hugging_face_has_them(tmp_path: Path) -> None:
    sounds = [{"bytes": encoded(TONE), "path": "a.wav"}, {"bytes": b"nothing", "path": "b.wav"}]
    rows = {"id": ["a", "b"], "audio": sounds, "kind": ["hum", "hiss"], "who": [7, 8]}
    pq.write_table(pa.table(rows), tmp_path / "s.parquet")
    columns = {"item_id": "id", "sound": "audio", "label": "kind", "group": "who"}
    found = Prepared(tmp_path / "root", tmp_path / "s.parquet", columns=columns)
    kept = {key: (row["label"], row["group"]) for key, row in found.sounds.items()}
    assert kept == {"a": ("hum", "7")}
    assert [row["item_id"] for row in found.rejected.values()] == ["b"]


def test_a_list_names_sounds_that_do_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "lists" / "a").mkdir(parents=True)
    (tmp_path / "lists" / "a" / "1.wav").write_bytes(encoded(TONE))
    (tmp_path / "lists" / "2_test.flac").write_bytes(encoded(TONE, kind="FLAC"))
    (tmp_path / "secret.wav").write_bytes(encoded(TONE))
    lines = ["id,file,kind", "x,a/1.wav,hum", "y,2_test.flac,hiss", "z,../secret.wav,hum"]
    lines += [f"w,{tmp_path / 'secret.wav'},hum", "v,a/gone.wav,hum", "u,,hum", "t,a/1.wav"]
    (tmp_path / "lists" / "sounds.csv").write_text("\n".join(lines))
    columns = {"item_id": "id", "sound": "file", "label": "kind"}
    names = {"test": "_test$"}
    path = tmp_path / "lists" / "sounds.csv"
    found = Prepared(tmp_path / "root", path, columns=columns, names=names)
    kept = {key: (row["label"], row["split"]) for key, row in found.sounds.items()}
    assert kept == {"x": ("hum", "train"), "y": ("hiss", "test")}
    assert found.info["reasons"] == {
        "the path leaves the folder of its list": 2,
        "no such file, or one that cannot be read": 1,
        "the list gives no path": 1,
        "wrong number of fields": 1,
    }
    assert found.rejected["a/gone.wav"]["item_id"] == "v"
    assert found.info["accounts"] == {"read": 7, "kept": 2, "rejected": 5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"names": {"test": "_9$"}}, "finds nothing in the names of the 1 files of"),
        ({"columns": {"item_id": "id", "sound": "s"}}, "sounds.columns goes with Parquet files"),
        ({"format": "parquet"}, "sounds.columns goes with Parquet files"),
    ],
)
def test_settings_that_do_not_suit_the_files_are_told(
    tmp_path: Path, settings: Row, message: str
) -> None:
    (tmp_path / "a.wav").write_bytes(encoded(TONE))
    with pytest.raises(ConfigError, match=message):
        Prepared(tmp_path / "root", tmp_path / "a.wav", **settings)


def test_where_nothing_can_be_used_the_stage_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    with pytest.raises(EmptyDatasetError, match="of 1 sounds none can be used"):
        Prepared(tmp_path / "root", tmp_path / "a.wav")
