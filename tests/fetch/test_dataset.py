"""A dataset's way from its publisher into its place: whole, checked, and only once."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fetch.conftest import RATINGS, README, Publisher, Told, published, source_of, zipped

from emberline.errors import ConfigError, DataError, UnreachableError
from emberline.fetch import dataset
from emberline.fetch.catalogue import Source

Fetch = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def fetch(source: Source, publisher: Publisher, data: Path, told: Told) -> Fetch:
    """`fetch(source, force)` fetches from the loopback publisher into `data`, without pauses to
    speak of.
    """

    def fetch_dataset(of: Source = source, force: bool = False) -> Path:
        return dataset.fetch(of, data, told, mirror=publisher.url, force=force, pauses=(0.01, 0.01))

    return fetch_dataset


def _tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


TINY = {"tiny/README": README, "tiny/ratings.csv": RATINGS}


def test_a_dataset_is_its_files_and_nothing_else_is_left(fetch: Fetch, data: Path) -> None:
    assert fetch() == data / "tiny"
    assert _tree(data) == TINY
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_the_licence_is_shown_before_the_first_request(
    fetch: Fetch, publisher: Publisher, told: Told
) -> None:
    publisher.files.clear()
    with pytest.raises(DataError):
        fetch()
    assert told.lines[0].endswith(f"bytes from {publisher.url}")
    assert told.lines[1:] == [
        "Licence: Test licence. Do what you like.",
        "         http://publisher.invalid/licence",
        "Cite:    Nobody. 2020. Nothing.",
    ]


def test_what_is_there_is_not_fetched_again(
    fetch: Fetch, publisher: Publisher, told: Told, data: Path
) -> None:
    fetch()
    assert fetch() == data / "tiny"
    assert len(publisher.requests) == 1
    assert (
        told.lines[-1]
        == f"tiny is in {data / 'tiny'} already, and complete; --force fetches it again."
    )


def test_force_fetches_again_and_leaves_the_old_until_the_new_is_whole(
    fetch: Fetch, publisher: Publisher, data: Path
) -> None:
    fetch()
    (data / "tiny" / "README").write_text("changed")
    publisher.statuses = [404]
    with pytest.raises(DataError):
        fetch(force=True)
    assert (data / "tiny" / "README").read_text() == "changed"
    fetch(force=True)
    assert _tree(data) == TINY


def test_another_dataset_in_its_place_is_not_touched(
    fetch: Fetch, publisher: Publisher, data: Path
) -> None:
    (data / "tiny").mkdir(parents=True)
    (data / "tiny" / "README").write_text("mine")
    with pytest.raises(
        ConfigError,
        match=(
            r"tiny is there but is not tiny: it has no file ratings.csv; move it away, or .*--force"
        ),
    ):
        fetch()
    (data / "tiny" / "ratings.csv").write_text("mine")
    with pytest.raises(ConfigError, match=f"ratings.csv has 4 bytes, expected {len(RATINGS):,}"):
        fetch()
    assert _tree(data) == {"tiny/README": "mine", "tiny/ratings.csv": "mine"}
    assert publisher.requests == []


def test_an_empty_folder_is_no_dataset(fetch: Fetch, data: Path) -> None:
    (data / "tiny").mkdir(parents=True)
    fetch()
    assert _tree(data) == TINY


def test_a_dataset_without_an_archive_is_its_files(
    fetch: Fetch, publisher: Publisher, data: Path
) -> None:
    contents = {"a.gz": b"one", "b.gz": b"two"}
    publisher.files |= contents
    files = tuple(published(name, content) for name, content in contents.items())
    fetch(source_of(b"", files=files, holds={"a.gz": 3, "b.gz": 3}, top=None, unpacked=6))
    assert _tree(data) == {"tiny/a.gz": "one", "tiny/b.gz": "two"}


def test_a_wrong_checksum_leaves_nothing_and_says_what_to_do(
    fetch: Fetch, publisher: Publisher, data: Path, archive: bytes
) -> None:
    publisher.files["tiny.zip"] = bytes([archive[0] ^ 1]) + archive[1:]
    with pytest.raises(DataError) as wrong:
        fetch()
    assert "what was downloaded is removed" in str(wrong.value)
    assert (
        f"by hand: download http://publisher.invalid/datasets/tiny.zip, put it into {data}, and run"
        " this" in str(wrong.value)
    )
    assert list(data.iterdir()) == []


def test_a_file_put_there_by_hand_is_taken_and_left(
    fetch: Fetch, publisher: Publisher, data: Path, archive: bytes
) -> None:
    publisher.files.clear()
    with pytest.raises(DataError, match=r"404.*by hand: download"):
        fetch()
    (data / "tiny.zip").write_bytes(archive)
    fetch()
    (data / "tiny.zip").unlink()
    assert _tree(data) == TINY
    assert len(publisher.requests) == 1


def test_a_wrong_file_put_there_by_hand_is_told_and_left(fetch: Fetch, data: Path) -> None:
    data.mkdir()
    (data / "tiny.zip").write_text("<html>")
    with pytest.raises(
        DataError,
        match=(
            f"{data}/tiny.zip is not the file it should be: .*found 6; remove it, and run this"
            " again"
        ),
    ):
        fetch()
    assert (data / "tiny.zip").read_text() == "<html>"


def test_a_download_goes_on_where_the_last_fetch_ended(
    fetch: Fetch, publisher: Publisher, data: Path
) -> None:
    publisher.cuts = [1000] * 3
    with pytest.raises(UnreachableError, match="failed 3 times"):
        fetch()
    assert not (data / "tiny").exists()
    fetch()
    assert publisher.ranges()[-1] == "bytes=3000-"
    assert _tree(data) == TINY


def test_a_whole_download_is_not_repeated_where_its_unpacking_was_killed(
    fetch: Fetch, publisher: Publisher, data: Path, archive: bytes
) -> None:
    half = data / ".tiny.fetch" / "new"
    half.mkdir(parents=True)
    (half / "ratings.csv").write_text(RATINGS[:100])
    (half / "more.csv").write_text("what a killed fetch left")
    (data / ".tiny.fetch" / "tiny.zip").write_bytes(archive)
    fetch()
    assert (_tree(data), publisher.requests) == (TINY, [])


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"ml-tiny/ratings.csv": RATINGS, "ml-tiny/../../../evil": ""},
            "its member 'ml-tiny/../../../evil' would leave the folder",
        ),
        (
            {"ml-tiny/ratings.csv": RATINGS, "ml-tiny/README": "x" * 2000},
            "takes more than the expected",
        ),
        ({"ml-tiny/ratings.csv": RATINGS}, "does not hold tiny: it has no file README"),
        (
            {"ml-tiny/ratings.csv": "u", "ml-tiny/README": ""},
            "does not hold tiny: ratings.csv has 1 bytes",
        ),
    ],
    ids=["leaves its folder", "too large", "a file is missing", "a file is another"],
)
def test_a_published_archive_that_is_not_the_dataset_becomes_none(
    fetch: Fetch, publisher: Publisher, data: Path, members: dict[str, str], reason: str
) -> None:
    archive = zipped(members)
    publisher.files["tiny.zip"] = archive
    with pytest.raises(DataError) as refused:
        fetch(source_of(archive))
    assert reason in str(refused.value)
    assert not (data / "tiny").exists()
    assert not list(data.parent.rglob("evil"))


def test_a_disk_without_the_room_is_told_before_the_download(
    fetch: Fetch, publisher: Publisher, archive: bytes
) -> None:
    with pytest.raises(
        ConfigError, match=r"tiny takes 1,000,000,000,.* bytes more, and .* has .* free; make room"
    ):
        fetch(source_of(archive, unpacked=10**18))
    assert publisher.requests == []


def test_a_folder_that_cannot_be_written_is_told(fetch: Fetch, data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(
        ConfigError,
        match=(
            f"{data}/.tiny.fetch cannot be written: Not a directory; choose another folder by --to"
        ),
    ):
        fetch()


def test_two_fetches_at_once_do_not_mix(fetch: Fetch, publisher: Publisher, data: Path) -> None:
    work = data / ".tiny.fetch"
    work.mkdir(parents=True)
    other = os.open(work, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(ConfigError, match="another process is fetching tiny into"):
        fetch()
    os.close(other)
    fetch()
    assert _tree(data) == TINY


def test_a_work_folder_that_is_a_link_is_not_worked_in(
    fetch: Fetch, data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine" / "new"
    mine.mkdir(parents=True)
    data.mkdir()
    (data / ".tiny.fetch").symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match=r"\.tiny\.fetch is a link"):
        fetch()
    assert mine.is_dir() and list(data.iterdir()) == [data / ".tiny.fetch"]
