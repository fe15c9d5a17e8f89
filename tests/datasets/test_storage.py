"""Paths, URIs, listings and the one-step replacement of a file, on files made here."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emberline.datasets import listing, raw_files, storage
from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError, DataError


def _make_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def _listed(uri: str | Path) -> list[str]:
    return [file.relative for file in listing.list_files(uri)]


def test_a_plain_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.locate("some/where") == tmp_path / "some" / "where"
    assert storage.locate(tmp_path / "there") == tmp_path / "there"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.locate("~/ratings.csv") == tmp_path / "ratings.csv"


@pytest.mark.parametrize(
    "path", ["/data/a", "/data/a b", "/data/a#b", "/data/50%", "/data/é/ü.csv"]
)
def test_a_file_uri_names_the_path_that_python_made_it_from(path: str) -> None:
    assert storage.locate(Path(path).as_uri()) == Path(path)


def test_a_file_uri_may_hold_what_a_person_would_type() -> None:
    assert storage.locate("file:///data/2025-0?/#1/*.csv") == Path("/data/2025-0?/#1/*.csv")


def test_a_file_uri_with_two_slashes_is_refused_instead_of_losing_its_first_folder() -> None:
    with pytest.raises(ConfigError, match="file:///data/ratings"):
        storage.locate("file://data/ratings")


@pytest.mark.parametrize("uri", ["ftp://host/path", "https://a.b/c", "s3n://bucket/key"])
def test_another_scheme_is_refused_by_name(uri: str) -> None:
    with pytest.raises(ConfigError, match=f"scheme {uri.partition('://')[0]}:// is not supported"):
        storage.locate(uri)


def test_a_colon_in_a_plain_path_is_no_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.locate("2025:01/a.csv") == tmp_path / "2025:01" / "a.csv"


def test_a_single_file_is_listed_under_its_own_name(tmp_path: Path) -> None:
    _make_files(tmp_path, "a.csv", "b.csv")
    os.utime(tmp_path / "a.csv", ns=(0, 1_700_000_000_123_456_000))
    found = listing.list_files(tmp_path / "a.csv")
    assert found == [
        RawFile(str(tmp_path / "a.csv"), "a.csv", size=5, modified=1_700_000_000_123_456_000)
    ]


def test_a_folder_is_listed_at_all_levels_in_order_without_what_is_no_data(tmp_path: Path) -> None:
    _make_files(
        tmp_path,
        "b.csv",
        "a/z.csv",
        "a/deep/y.csv",
        "_SUCCESS",
        ".a.csv.crc",
        "a/_x.csv",
        "_temporary/t.csv",
        ".git/g",
    )
    _make_files(tmp_path, "-v.csv", "_started_7", "c.csv._COPYING_", "_unknown_/1:2.png")
    assert _listed(tmp_path) == [
        "-v.csv",
        "_unknown_/1:2.png",
        "a/_x.csv",
        "a/deep/y.csv",
        "a/z.csv",
        "b.csv",
    ]
    assert {kind: count for kind, (count, _) in listing.survey(tmp_path).passed_over.items()} == {
        "hidden": 2,
        "of Spark's own": 4,
    }


def test_links_are_followed_once_and_those_to_nowhere_told(tmp_path: Path) -> None:
    _make_files(tmp_path, "elsewhere/a.csv", "in/b.csv", "in/day/c.csv")
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "elsewhere" / "a.csv")
    (tmp_path / "in" / "gone.csv").symlink_to(tmp_path / "nothing")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "latest").symlink_to(tmp_path / "in" / "day")
    (tmp_path / "elsewhere" / "itself").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    assert _listed(tmp_path / "in") == ["b.csv", "day/c.csv", "folder/a.csv", "link.csv"]
    told = listing.survey(tmp_path / "in")
    assert {kind: count for kind, (count, _) in told.passed_over.items()} == {
        "links to nowhere": 1,
        "links to folders that are read anyway": 3,
    }
    assert "1 links to nowhere (" in str(told)


def test_a_root_inside_the_input_is_no_input(tmp_path: Path) -> None:
    _make_files(tmp_path, "a.csv", "runs/ratings/b.csv", "runs2/c.csv")
    assert [file.relative for file in listing.list_files(tmp_path, tmp_path / "runs")] == [
        "a.csv",
        "runs2/c.csv",
    ]
    assert [
        file.relative for file in listing.list_files(f"{tmp_path}/**/*.csv", tmp_path / "runs")
    ] == ["a.csv", "runs2/c.csv"]


def test_a_name_that_is_not_utf_8_is_shown_escaped_and_can_be_opened(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    with open(folder + b"/\xff \\xff.csv", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    (found,) = listing.list_files(tmp_path)
    assert found.relative == "caf\\xe9/\\xff \\xff.csv"
    with raw_files.open_unchanged(found.uri, found.size, found.modified) as opened:
        assert opened.read() == b"x"
    assert raw_files.read_input(found.uri) == b"x"


def test_a_file_that_changes_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    _make_files(tmp_path, "a.csv")
    (found,) = listing.list_files(tmp_path)
    with (
        pytest.raises(
            DataError, match=r"a\.csv was changed while it was read: it had 5 bytes, and has 6"
        ),
        raw_files.open_unchanged(found.uri, found.size, found.modified),
    ):
        (tmp_path / "a.csv").write_text("longer")
    (tmp_path / "a.csv").unlink()
    with (
        pytest.raises(DataError, match=r"a\.csv cannot be read: it is not there any more"),
        raw_files.open_unchanged(found.uri, 1, 1),
    ):
        pass


def test_a_folder_below_hidden_ones_is_listed_all_the_same(tmp_path: Path) -> None:
    _make_files(tmp_path, "_raw/.today/a.csv", "_raw/.today/.b.csv")
    assert _listed(tmp_path / "_raw" / ".today") == ["a.csv"]
    assert _listed(tmp_path / "_raw" / ".today" / "*.csv") == ["a.csv"]


def test_a_glob_is_listed_relative_to_its_first_plain_folder(tmp_path: Path) -> None:
    _make_files(
        tmp_path,
        "2025/01/a.csv",
        "2025/02/a.csv",
        "2025/02/a.json",
        "2025/.02/a.csv",
        "2024/_1/a.csv",
    )
    assert _listed(f"{tmp_path}/2025/*/*.csv") == ["01/a.csv", "02/a.csv"]
    assert _listed(f"{tmp_path}/**/*.csv") == ["2024/_1/a.csv", "2025/01/a.csv", "2025/02/a.csv"]


def test_a_glob_in_a_file_uri_works_too(tmp_path: Path) -> None:
    _make_files(tmp_path, "a1.csv", "a2.csv", "b1.csv")
    assert _listed(f"file://{tmp_path}/a?.csv") == ["a1.csv", "a2.csv"]


def test_a_name_with_brackets_is_found_before_it_is_taken_for_a_glob(tmp_path: Path) -> None:
    _make_files(tmp_path, "a[1].csv", "a1.csv")
    assert _listed(tmp_path / "a[1].csv") == ["a[1].csv"]


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    _make_files(tmp_path, "only/.hidden.csv")
    with pytest.raises(DataError, match=r"gone does not exist"):
        listing.list_files(tmp_path / "gone")
    with pytest.raises(
        DataError, match=r"only holds no files, but what is passed over: 1 hidden \(\.hidden\.csv\)"
    ):
        listing.list_files(tmp_path / "only")
    with pytest.raises(DataError, match=r"\*\.json holds no files"):
        listing.list_files(tmp_path / "*.json")


def test_what_hadoop_would_take_for_a_glob_is_escaped() -> None:
    assert storage.for_spark(Path("/data/plain-1_2.csv")) == "file:///data/plain-1_2.csv"
    assert (
        storage.for_spark(Path("/data/a[1]{x,y}*?.csv")) == r"file:///data/a\[1\]\{x\,y\}\*\?.csv"
    )
    assert storage.for_spark(Path("/data/a\\b")) == r"file:///data/a\\b"


def test_a_place_inside_is_the_joined_path() -> None:
    assert storage.inside(Path("/data"), "run/part.parquet") == Path("/data/run/part.parquet")


@pytest.mark.parametrize("relative", ["/etc/passwd", "../other", "a/../../other", "a/..", "..", ""])
def test_a_place_outside_is_refused(relative: str) -> None:
    with pytest.raises(DataError, match="does not name a place inside /data"):
        storage.inside(Path("/data"), relative)


@given(
    st.lists(st.sampled_from(["..", ".", "", "a", "b.c", "/", "~", "...", "é"]), max_size=6).map(
        "/".join
    )
)
@example("//x")
@settings(max_examples=100)
def test_no_name_leads_outside_the_folder(relative: str) -> None:
    try:
        path = storage.inside(Path("/data/here"), relative)
    except DataError:
        return
    assert os.path.commonpath(["/data/here", os.path.normpath(path)]) == "/data/here"


def test_replacing_makes_the_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "manifest.json"
    storage.replace_file(path, b"one")
    storage.replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["manifest.json"]


def test_who_has_the_old_file_open_reads_the_old_bytes_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    storage.replace_file(path, b"the old bytes")
    with path.open("rb") as file:
        beginning = file.read(4)
        storage.replace_file(path, b"new")
        assert beginning + file.read() == b"the old bytes"
    assert path.read_bytes() == b"new"


def test_the_old_file_is_there_until_the_new_one_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    storage.replace_file(path, b"old")

    def lose_power(*_: Path) -> None:
        raise OSError("no power")

    monkeypatch.setattr(Path, "replace", lose_power)
    with pytest.raises(OSError, match="no power"):
        storage.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


def test_a_replacement_that_fails_leaves_the_old_file_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError):
        storage.replace_file(path, b"a folder is in the way")
    assert [p.name for p in tmp_path.iterdir()] == ["status"]
