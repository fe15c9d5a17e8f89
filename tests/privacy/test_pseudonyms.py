"""Pseudonyms: no outside id is written, and everything else is as without them."""

import base64
import hashlib
import hmac
import json
import logging
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from tests.privacy.conftest import (
    PIPELINE,
    item_id,
    places_of,
    rows_of,
    run_in,
    user_id,
    write_shop,
)
from typer.testing import CliRunner

from emberline import pipelines
from emberline.cleaning.pseudonyms import Key
from emberline.cli.app import app
from emberline.datasets import manifest as manifests
from emberline.doctor.privacy import check_privacy
from emberline.errors import ConfigError
from emberline.runs import keys
from emberline.sections.config import Config

PRIVACY = '\n[privacy]\npseudonyms = "both"\nkey_file = "the.key"\nmin_users = 1\n'
SECRETS = """
[spark]
conf = { "spark.hadoop.fs.s3a.secret.key" = "hunter2-of-spark" }
[publish]
to = "s3://anna:hunter2-of-uri@bucket/x?token=hunter2-of-query"
"""
SECRET = "0123456789abcdef0123456789abcdef"
Named = dict[tuple[str, str], object]


def by_hand(side: str, text: str) -> str:
    """The pseudonym as docs/privacy.md says it is computed."""
    digest = hmac.new(SECRET.encode(), f"{side}\0{text}".encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:16]).decode().rstrip("=")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose root has ids as they are."""
    folder = tmp_path_factory.mktemp("plain")
    write_shop(folder)
    run_in(folder, PIPELINE)
    return folder


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder whose root has pseudonyms of both sides, by a pipeline with secrets; and what was
    logged at INFO meanwhile.
    """
    folder = tmp_path_factory.mktemp("made")
    write_shop(folder)
    (folder / "the.key").write_text(f"{SECRET}\n")
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger, level = logging.getLogger("emberline"), logging.getLogger("emberline").level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    run_in(folder, PIPELINE + PRIVACY + SECRETS)
    logger.removeHandler(handler)
    logger.setLevel(level)
    return folder, lines


@pytest.fixture(scope="module")
def made(logged: tuple[Path, list[str]]) -> Path:
    return logged[0]


def test_no_secret_is_in_a_log_a_manifest_a_status_or_the_report(
    logged: tuple[Path, list[str]],
) -> None:
    folder, lines = logged
    for secret in (SECRET, "hunter2"):
        assert places_of(folder / "root", secret) == []
        assert [line for line in lines if secret in line] == []
    assert len(lines) > 10


def test_no_id_title_or_event_is_in_a_line_of_the_log(logged: tuple[Path, list[str]]) -> None:
    told = ("zoe-", "sku/", "Film", by_hand("user", user_id(1)), by_hand("item", item_id(1)))
    assert [line for line in logged[1] if any(text in line for text in told)] == []


def test_the_doctor_warns_of_what_others_may_read_and_of_credentials(made: Path) -> None:
    config = pipelines.load(made / "pipeline.toml")
    root = made / "root"
    root.chmod(0o755)
    (made / "the.key").chmod(0o644)
    found = {check.name: check for check in check_privacy(config, root)}
    assert {check.state for check in found.values()} == {"warning"}
    told = found["credentials"].found
    assert "publish.to, spark.conf.spark.hadoop.fs.s3a.secret.key" in told
    assert "hunter2" not in "".join(f"{check.found} {check.remedy}" for check in found.values())
    root.chmod(0o750)
    (made / "the.key").chmod(0o600)
    found = {check.name: check for check in check_privacy(Config(), root)}
    assert {check.state for check in found.values()} == {"ok"}


def test_no_outside_id_is_anywhere_in_the_root(made: Path) -> None:
    for text in ("zoe-", "@example.org", "sku/0", SECRET):
        assert places_of(made / "root", text) == []
    assert places_of(made / "root", by_hand("user", user_id(7)))


def test_ids_are_hmacs_under_the_key(made: Path) -> None:
    users = set(rows_of(made, "users")["user_id"].to_pylist())
    assert users == {by_hand("user", user_id(user)) for user in range(60)}
    assert by_hand("item", item_id(3)) in rows_of(made, "items")["item_id"].to_pylist()
    described = rows_of(made, "user_attributes")["user_id"].to_pylist()
    assert set(described) == users
    listed = {by_hand("user", user_id(user)) for user in range(0, 60, 2)}
    assert {user for user, _ in named(made, "recommendations", "score")} == listed


def test_raw_texts_have_pseudonyms_in_the_fields_of_ids_and_torn_ones_nothing(made: Path) -> None:
    rows = rows_of(made, "rejected_ratings").to_pylist()
    raw = {row["reason"]: row["raw"] for row in rows}
    wrong = json.loads(raw["value is not a number"])
    assert wrong["user_id"] == by_hand("user", user_id(3))
    assert (wrong["item_id"], wrong["value"]) == (by_hand("item", item_id(4)), "nothing")
    assert [row["raw"] for row in rows if row["reason"] == "wrong number of fields"] == [""]
    merged = [json.loads(row["raw"]) for row in rows if row["outcome"] == "merged"]
    assert len(merged) == 60 and all(len(row["user_id"]) == 26 for row in merged)


def test_raw_texts_may_be_left_out(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy", ignore=shutil.ignore_patterns("root"))
    only = "prepare-ratings,prepare-items"
    run_in(tmp_path / "copy", PIPELINE + PRIVACY + 'raw = "none"\n', only=only)
    for table in ("rejected_ratings", "rejected_attributes"):
        assert set(rows_of(tmp_path / "copy", table)["raw"].to_pylist()) == {""}


def named(folder: Path, table: str, column: str) -> Named:
    """A column by the ids of users and items as the root has them."""
    users, items = (
        dict(zip(*(rows_of(folder, f"{side}s")[name].to_pylist() for name in names), strict=True))
        for side in ("user", "item")
        for names in [(side, f"{side}_id")]
    )
    rows = rows_of(folder, table).to_pylist()
    return {(users[row["user"]], items[row["item"]]): row[column] for row in rows}


@pytest.mark.parametrize(
    ("table", "column"),
    [("interactions", "value"), ("interactions", "timestamp"), ("holdout", "value")],
)
def test_what_is_kept_and_withheld_is_what_it_is_without_pseudonyms(
    plain: Path, made: Path, table: str, column: str
) -> None:
    """Who is withheld goes by time here; by hashes of ids, other ids would be others."""
    expected = {
        (by_hand("user", user), by_hand("item", item)): value
        for (user, item), value in named(plain, table, column).items()
    }
    assert named(made, table, column) == expected


def test_lists_and_accounts_are_those_without_pseudonyms(plain: Path, made: Path) -> None:
    """Ties go by index, which follows the order of ids; scores do not."""
    scores = []
    for folder in (plain, made):
        by_user = defaultdict(list)
        for (user, _), score in named(folder, "holdout_recommendations", "score").items():
            by_user[user].append(float(str(score)))
        pseudonyms = folder == made
        scores.append(
            {
                user if pseudonyms else by_hand("user", user): sorted(found)
                for user, found in by_user.items()
            }
        )
    assert scores[0].keys() == scores[1].keys()
    assert all(scores[1][user] == pytest.approx(found) for user, found in scores[0].items())
    accounts = [
        manifests.load(folder / "root", "interactions").manifest.info["accounts"]
        for folder in (plain, made)
    ]
    assert accounts[0] == accounts[1]


def test_a_user_is_asked_for_by_the_outside_id_where_the_key_is_at_hand(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    asked = ["recommend", str(made / "root"), "--user", user_id(2)]
    found = CliRunner().invoke(app, [*asked, "--key-file", str(made / "the.key")])
    assert found.exit_code == 0 and "is unknown here" not in found.output
    assert by_hand("item", item_id(1))[:4].isalnum() and "item-neighbors" in found.output
    assert "is unknown here" in CliRunner().invoke(app, asked).output
    monkeypatch.setenv(keys.VARIABLE, SECRET)
    assert "is unknown here" not in CliRunner().invoke(app, asked).output
    monkeypatch.setenv(keys.VARIABLE, SECRET.upper())
    told = CliRunner().invoke(app, asked).exception
    assert isinstance(told, ConfigError) and "give the key that it was made with" in str(told)


def test_a_key_that_is_missing_short_another_or_in_the_root_is_one_line(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, toml = tmp_path / "copy", PIPELINE + PRIVACY
    shutil.copytree(made, folder, copy_function=shutil.copy2)
    fingerprint = Key(SECRET.encode()).fingerprint
    assert manifests.load(folder / "root", "users").manifest.produced_by.privacy == {
        "pseudonyms": "both",
        "raw": "replaced",
        "key": fingerprint,
    }
    (folder / "the.key").write_text("another key that is long enough as well\n")
    with pytest.raises(ConfigError, match=f"made with the key of fingerprint {fingerprint}") as e:
        run_in(folder, toml)
    assert "give the former key" in str(e.value) and "another key" not in str(e.value)
    (folder / "the.key").write_text("too short\n")
    with pytest.raises(ConfigError, match="is not a key: expected one line of 32 to 4096"):
        run_in(folder, toml)
    (folder / "the.key").unlink()
    with pytest.raises(ConfigError, match=r"there is no file .*the\.key; bring the key"):
        run_in(folder, toml)
    (folder / "root" / "inside.key").write_text(SECRET)
    with pytest.raises(ConfigError, match="where whoever reads pseudonyms reads it, too"):
        run_in(folder, toml.replace("the.key", "root/inside.key"))
    by_variable = toml.replace('key_file = "the.key"\n', "")
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=f"set privacy.key_file, or the .* {keys.VARIABLE}"):
        run_in(folder, by_variable)
    monkeypatch.setenv(keys.VARIABLE, SECRET)
    assert {outcome.action for outcome in run_in(folder, by_variable)} == {"skip"}


def test_a_root_has_pseudonyms_or_ids_and_never_both(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"users has pseudonyms, and .* asks for users' ids"):
        run_in(made, PIPELINE)


def test_a_key_is_never_shown() -> None:
    key = Key(SECRET.encode())
    assert SECRET not in f"{key!r} {key}"
    assert key.fingerprint != Key(SECRET.upper().encode()).fingerprint


def test_a_made_key_is_its_owners_alone_and_replaces_nothing(tmp_path: Path) -> None:
    made = keys.make(tmp_path / "new.key")
    assert (tmp_path / "new.key").stat().st_mode & 0o077 == 0
    assert keys.read(tmp_path / "new.key", "") == made
    with pytest.raises(ConfigError, match="is there already"):
        keys.make(tmp_path / "new.key")
