"""Datasets committed, opened, damaged and mixed; the JSON is written and read by hand."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, Part, ProducedBy
from emberline.errors import DataError, ManifestError, SchemaError

FINGERPRINT = "0123456789abcdef" * 4
RUN_ID = "20250102T030405-00c0ffee"
FOLDER = "0123456789abcdef-20250102T030405-00c0ffee"
Damage = Callable[[dict[str, Any]], None]


def _write(
    root: Path, name: str, contents: list[bytes], stage: str = "sow", run_id: str = RUN_ID
) -> Manifest:
    """The files of an artifact, not yet committed."""
    folder = root / name / manifests.run_folder(FINGERPRINT, run_id)
    folder.mkdir(parents=True)
    parts = []
    for number, content in enumerate(contents):
        (folder / f"{number}.bin").write_bytes(content)
        parts.append(
            Part(
                f"{folder.name}/{number}.bin",
                0,
                0,
                len(content),
                hashlib.sha256(content).hexdigest(),
            )
        )
    return Manifest(name, "artifact", [], 0, parts, ProducedBy(stage, FINGERPRINT, run_id))


def _committed(root: Path, name: str = "seeds", **produced_by: str) -> Dataset:
    manifests.commit(root, _write(root, name, [b"wheat", b"barley"], **produced_by))
    return manifests.load(root, name)


def _edit(root: Path, name: str, change: Damage) -> None:
    path = root / name / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_a_dataset_is_what_was_committed(root: Path) -> None:
    manifest = _write(root, "seeds", [b"wheat", b"barley"])
    manifests.commit(root, manifest)
    dataset = manifests.load(root, "seeds")
    assert dataset == Dataset(root / "seeds", manifest)
    assert [path.read_bytes() for path in dataset.paths] == [b"wheat", b"barley"]
    assert (dataset.name, dataset.rows) == ("seeds", 0)


def test_the_manifest_says_in_json_all_that_the_contract_promises(root: Path) -> None:
    part = Part(f"{FOLDER}/part-00000.parquet", 3, 1, 99, "ab", "f0")
    produced_by = ProducedBy(
        "sow",
        FINGERPRINT,
        RUN_ID,
        {"rank": 2},
        {"soil": {"run_id": "r"}},
        {"users": {"run_id": "p"}},
        "c0de",
    )
    field = {"name": "user", "type": "int32", "nullable": False}
    (root / "grain" / FOLDER).mkdir(parents=True)
    manifests.commit(
        root,
        Manifest(
            "grain", "table", [field], 3, [part], produced_by, rank=2, seed=1, info={"sown": 5}
        ),
    )
    assert json.loads((root / "grain" / "manifest.json").read_bytes()) == {
        "format": 1,
        "name": "grain",
        "kind": "table",
        "fields": [field],
        "rows": 3,
        "rank": 2,
        "seed": 1,
        "info": {"sown": 5},
        "parts": [
            {
                "path": f"{FOLDER}/part-00000.parquet",
                "rows": 3,
                "row_groups": 1,
                "bytes": 99,
                "sha256": "ab",
                "footer": "f0",
            }
        ],
        "produced_by": {
            "stage": "sow",
            "fingerprint": FINGERPRINT,
            "run_id": RUN_ID,
            "config": {"rank": 2},
            "inputs": {"soil": {"run_id": "r"}},
            "previous": {"users": {"run_id": "p"}},
            "code": "c0de",
            "privacy": {},
        },
    }


def test_parts_without_a_manifest_are_no_dataset(root: Path) -> None:
    _write(root, "seeds", [b"wheat"])
    assert not manifests.exists(root, "seeds")
    with pytest.raises(
        ManifestError, match=r"seeds has no manifest\.json, so there is no dataset seeds"
    ):
        manifests.load(root, "seeds")


def test_a_new_commit_does_not_disturb_a_reader_of_the_old_one(root: Path) -> None:
    old = _committed(root)
    new = _committed(root, run_id="20250102T030406-00000000")
    assert [path.read_bytes() for path in old.paths] == [b"wheat", b"barley"]
    assert not set(old.paths) & set(new.paths)


def test_the_run_folder_is_named_by_fingerprint_and_run() -> None:
    assert manifests.run_folder(FINGERPRINT, RUN_ID) == FOLDER
    assert manifests.is_run_folder(FOLDER)


@pytest.mark.parametrize(
    "name",
    ["", "manifest.json", "backup", f"{FOLDER}-old", f"x{FOLDER}", FOLDER.upper(), FOLDER[1:]],
)
def test_a_folder_of_another_name_is_not_a_run_folder(name: str) -> None:
    assert not manifests.is_run_folder(name)


def test_a_missing_part_is_named_with_its_remedy(root: Path) -> None:
    _committed(root).paths[1].unlink()
    with pytest.raises(
        ManifestError,
        match=rf"seeds/manifest\.json lists 2 parts but {FOLDER}/1\.bin is missing; rerun sow",
    ):
        manifests.load(root, "seeds")


def test_a_torn_write_is_not_a_dataset(root: Path) -> None:
    _committed(root).paths[1].write_bytes(b"bar")
    with pytest.raises(
        ManifestError, match=rf"{FOLDER}/1\.bin has 3 bytes instead of 6; rerun sow"
    ):
        manifests.load(root, "seeds")


def test_a_part_that_cannot_be_looked_at_is_a_data_error(root: Path) -> None:
    dataset = _committed(root)
    folder = dataset.paths[0].parent
    folder.rename(root / "elsewhere")
    folder.write_text("a file where the folder was")
    with pytest.raises(DataError, match=rf"cannot be read: .*Not a directory.*{FOLDER}/0\.bin"):
        manifests.load(root, "seeds")


def test_verify_finds_a_flipped_bit_that_the_size_does_not_show(root: Path) -> None:
    dataset = _committed(root)
    damage.verify(dataset)
    dataset.paths[1].write_bytes(b"barlex")
    altered = manifests.load(root, "seeds")
    with pytest.raises(
        ManifestError, match=rf"seeds/{FOLDER}/1\.bin was altered: .*rerun sow with --force"
    ):
        damage.verify(altered)


def test_a_hash_is_that_of_the_files_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert (
        damage.sha256_of(tmp_path / "empty")
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize("path", ["../other/0.bin", "/etc/hostname", f"{FOLDER}/../../x"])
def test_a_manifest_cannot_name_a_part_outside_its_folder(root: Path, path: str) -> None:
    _committed(root)
    _edit(root, "seeds", lambda content: content["parts"][0].update(path=path))
    with pytest.raises(DataError, match="does not name a place inside"):
        manifests.load(root, "seeds")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(root: Path, version: Any) -> None:
    _committed(root)
    _edit(root, "seeds", lambda content: content.update(format=version))
    with pytest.raises(
        ManifestError,
        match=re.escape(
            f"format version {version!r}, expected 1; rerun the stage that writes seeds"
        ),
    ):
        manifests.load(root, "seeds")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("format"),
        lambda content: content.pop("rows"),
        lambda content: content.pop("parts"),
        lambda content: content.update(parts=None),
        lambda content: content.update(colour="green"),
        lambda content: content["parts"][0].pop("sha256"),
        lambda content: content["parts"][0].update(path=5),
        lambda content: content["parts"][0].update(bytes="6"),
        lambda content: content["produced_by"].pop("run_id"),
        lambda content: content.update(produced_by="sow"),
    ],
)
def test_json_that_is_no_manifest_is_called_so(root: Path, damage: Damage) -> None:
    _committed(root)
    _edit(root, "seeds", damage)
    with pytest.raises(ManifestError, match=r"seeds/manifest\.json is not a manifest"):
        manifests.load(root, "seeds")


@pytest.mark.parametrize("content", [b"", b'{"format": 1, "na', b"[1, 2]", b"null", b"\xff\xfe{}"])
def test_what_is_not_even_json_or_no_object_is_called_so(root: Path, content: bytes) -> None:
    _committed(root)
    (root / "seeds" / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"seeds/manifest\.json is not a manifest"):
        manifests.load(root, "seeds")


def test_a_dataset_that_was_renamed_by_hand_is_refused(root: Path) -> None:
    _committed(root, "seeds").folder.rename(root / "grain")
    with pytest.raises(ManifestError, match="is the manifest of seeds, not of grain"):
        manifests.load(root, "grain")


def test_a_table_with_other_fields_than_this_version_reads_is_refused(root: Path) -> None:
    fields = [
        {"name": "user", "type": "int64", "nullable": False},
        {"name": "user_id", "type": "string", "nullable": True},
    ]
    manifests.commit(
        root,
        Manifest(
            "users", "table", fields, 0, [], ProducedBy("prepare-ratings", FINGERPRINT, RUN_ID)
        ),
    )
    with pytest.raises(SchemaError) as refused:
        manifests.load(root, "users")
    assert (
        "fields user int64, user_id string? are not those expected (user int32, user_id string)"
        in str(refused.value)
    )
    assert str(refused.value).endswith("rerun prepare-ratings")


def test_outputs_of_one_run_and_of_other_stages_may_be_joined(root: Path) -> None:
    later = "20250102T030406-00000000"
    one_run = [_committed(root, "seeds"), _committed(root, "soil")]
    manifests.check_same_run([*one_run, _committed(root, "tools", stage="forge", run_id=later)])


def test_outputs_of_two_runs_of_one_stage_are_never_joined(root: Path) -> None:
    later = "20250102T030406-00000000"
    with pytest.raises(ManifestError) as refused:
        manifests.check_same_run(
            [_committed(root, "seeds"), _committed(root, "soil", run_id=later)]
        )
    expected = (
        f"seeds (run {RUN_ID}) and soil (run {later}) come from different runs of sow in {root};"
        " rerun sow"
    )
    assert str(refused.value) == expected
