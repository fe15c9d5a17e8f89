"""Downloads by a real server on loopback that cuts connections, forgets ranges, changes its
files and sends wrong bytes.
"""

import base64
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fetch.conftest import Publisher, Told, published

from emberline.errors import ConfigError, DataError, UnreachableError
from emberline.fetch import address as addresses
from emberline.fetch.address import Address
from emberline.fetch.download import download

CONTENT = random.Random(7).randbytes(1_000_000)
FILE = published("numbers.bin", CONTENT)
SOON = (0.01, 0.01, 0.01)

Get = Callable[[], Path]


@pytest.fixture
def get(publisher: Publisher, tmp_path: Path, told: Told) -> Get:
    publisher.files["numbers.bin"] = CONTENT
    return lambda: download(FILE, Address(publisher.url), tmp_path, told, SOON)


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_the_published_bytes(
    get: Get, publisher: Publisher, tmp_path: Path, told: Told
) -> None:
    assert get().read_bytes() == CONTENT
    assert _left(tmp_path) == ["numbers.bin"]
    assert [path for path, _ in publisher.requests] == ["/published/numbers.bin"]
    assert told.progress[0] == ("numbers.bin", 0, 1_000_000)
    assert told.progress[-1] == ("numbers.bin", 1_000_000, 1_000_000)


def test_a_cut_download_is_continued_where_it_was_cut(
    get: Get, publisher: Publisher, told: Told
) -> None:
    publisher.cuts = [300_000, 200_000]
    assert get().read_bytes() == CONTENT
    assert publisher.ranges() == [None, "bytes=300000-", "bytes=500000-"]
    assert "300,000 of 1,000,000 bytes are here, trying again in 0.01 s" in told.lines[0]


def test_a_connection_that_is_reset_is_made_again(
    get: Get, publisher: Publisher, told: Told
) -> None:
    publisher.cuts, publisher.resets = [300_000, 0, 200_000], True
    assert get().read_bytes() == CONTENT
    assert any("reset by peer" in line for line in told.lines)


def test_a_download_that_is_always_cut_ends_and_the_next_run_goes_on(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.cuts = [100_000] * 4
    with pytest.raises(
        UnreachableError,
        match=(
            r"numbers.bin failed 4 times \(.*\); 400,000 of 1,000,000 bytes are here, run this"
            r" again"
        ),
    ):
        get()
    assert _left(tmp_path) == ["numbers.bin.part", "numbers.bin.part.json"]
    assert get().read_bytes() == CONTENT
    assert publisher.ranges()[-1] == "bytes=400000-"


def test_a_date_identifies_a_file_that_has_no_strong_etag(get: Get, publisher: Publisher) -> None:
    publisher.etag, publisher.modified = 'W/"weak"', "Wed, 26 Sep 2018 21:49:00 GMT"
    publisher.cuts = [300_000]
    assert get().read_bytes() == CONTENT
    assert publisher.requests[-1][1]["If-Range"] == publisher.modified
    assert publisher.ranges() == [None, "bytes=300000-"]


def test_what_nothing_identifies_is_downloaded_anew(get: Get, publisher: Publisher) -> None:
    publisher.etag = None
    publisher.cuts = [300_000]
    assert get().read_bytes() == CONTENT
    assert publisher.ranges() == [None, None]


def test_a_server_that_ignores_ranges_sends_it_anew(get: Get, publisher: Publisher) -> None:
    publisher.knows_ranges = False
    publisher.cuts = [300_000]
    assert get().read_bytes() == CONTENT
    assert publisher.ranges() == [None, "bytes=300000-"]


def test_a_file_that_changed_meanwhile_is_downloaded_anew(get: Get, publisher: Publisher) -> None:
    publisher.files["numbers.bin"] = bytes(1_000_000)
    publisher.cuts = [100_000] * 4
    with pytest.raises(UnreachableError):
        get()
    publisher.files["numbers.bin"], publisher.etag = CONTENT, '"v2"'
    assert get().read_bytes() == CONTENT


def test_a_part_from_another_server_is_not_continued(
    get: Get, publisher: Publisher, tmp_path: Path, told: Told
) -> None:
    publisher.cuts = [100_000] * 4
    with pytest.raises(UnreachableError):
        get()
    elsewhere = Address(publisher.url.replace("published", "elsewhere"))
    assert download(FILE, elsewhere, tmp_path, told, SOON).read_bytes() == CONTENT
    assert publisher.ranges()[-1] is None


def test_a_server_that_continues_somewhere_else_is_asked_anew(
    get: Get, publisher: Publisher
) -> None:
    publisher.cuts = [300_000]
    publisher.content_range = "bytes 200000-999999/1000000"
    assert get().read_bytes() == CONTENT
    assert publisher.ranges() == [None, "bytes=300000-", None]


def test_a_part_that_is_longer_than_the_file_is_downloaded_anew(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.cuts = [100_000] * 4
    with pytest.raises(UnreachableError):
        get()
    with (tmp_path / "numbers.bin.part").open("ab") as part:
        part.write(bytes(1_000_000))
    assert get().read_bytes() == CONTENT


def test_a_torn_note_beside_a_part_costs_no_more_than_the_part(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.cuts = [100_000] * 4
    with pytest.raises(UnreachableError):
        get()
    (tmp_path / "numbers.bin.part.json").write_text('{"url":')
    assert get().read_bytes() == CONTENT
    assert publisher.ranges()[-1] is None


def test_a_wrong_checksum_removes_the_file_and_names_both(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    wrong = bytearray(CONTENT)
    wrong[500_000] ^= 1
    publisher.files["numbers.bin"] = bytes(wrong)
    found = published("", bytes(wrong)).sha256
    with pytest.raises(
        DataError,
        match=f"expected sha256 {FILE.sha256}, found {found}; what was downloaded is removed",
    ):
        get()
    assert _left(tmp_path) == []
    assert len(publisher.requests) == 1


def test_another_file_of_the_same_name_is_refused_before_it_is_downloaded(
    get: Get, publisher: Publisher, tmp_path: Path, told: Told
) -> None:
    publisher.files["numbers.bin"] = b"<html>Please log in"
    with pytest.raises(DataError, match="expected 1,000,000 bytes, the server announces 19"):
        get()
    assert (_left(tmp_path), told.progress) == ([], [])


def test_a_server_that_never_ends_is_not_read_to_the_end(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.announces_length = False
    publisher.files["numbers.bin"] = CONTENT + bytes(20_000_000)
    with pytest.raises(DataError, match="expected 1,000,000 bytes, found 1,"):
        get()
    assert _left(tmp_path) == []


def test_a_server_in_trouble_is_asked_again_and_one_that_refuses_is_not(
    get: Get, publisher: Publisher
) -> None:
    publisher.statuses = [404]
    with pytest.raises(
        DataError, match=r"numbers\.bin cannot be had: the server answers 404 Not Found"
    ):
        get()
    assert len(publisher.requests) == 1
    publisher.statuses = [503, 429, 502]
    assert get().read_bytes() == CONTENT
    assert len(publisher.requests) == 5


def test_no_server_is_told_at_once(tmp_path: Path, publisher: Publisher, told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        UnreachableError,
        match=f"http://127.0.0.1:{port}/numbers.bin cannot be reached .Connection refused",
    ):
        download(FILE, Address(f"http://127.0.0.1:{port}"), tmp_path, told, SOON)
    with pytest.raises(
        UnreachableError, match=r"http://nowhere\.invalid/numbers\.bin cannot be reached"
    ):
        download(FILE, Address("http://nowhere.invalid"), tmp_path, told, SOON)
    assert told.lines == []


def test_a_server_that_speaks_no_tls_is_not_trusted(
    tmp_path: Path, publisher: Publisher, told: Told
) -> None:
    url = publisher.url.replace("http:", "https:")
    with pytest.raises(ConfigError, match="cannot be trusted"):
        download(FILE, Address(url), tmp_path, told, SOON)


def test_a_folder_can_be_the_mirror(tmp_path: Path, told: Told) -> None:
    mirror = tmp_path / "the mirror's 1 % folder"
    mirror.mkdir()
    (mirror / "numbers.bin").write_bytes(CONTENT)
    address = addresses.parse(mirror.as_uri())
    assert download(FILE, address, tmp_path, told, SOON).read_bytes() == CONTENT
    (mirror / "numbers.bin").unlink()
    (tmp_path / "numbers.bin").unlink()
    with pytest.raises(ConfigError, match=r"cannot be reached \(No such file"):
        download(FILE, address, tmp_path, told, SOON)


def test_credentials_reach_the_server_and_nothing_else(
    publisher: Publisher, tmp_path: Path, told: Told
) -> None:
    publisher.cuts = [100_000] * 4
    publisher.files["numbers.bin"] = CONTENT
    address = addresses.parse(publisher.url.replace("//", "//joe:s3%2Fcret@"))
    with pytest.raises(UnreachableError) as failed:
        download(FILE, address, tmp_path, told, SOON)
    basic = base64.b64decode(publisher.requests[0][1]["Authorization"].removeprefix("Basic "))
    assert basic == b"joe:s3/cret"
    written = "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.json"))
    for text in (str(failed.value), repr(address), *told.lines, written):
        assert "s3" not in text
        assert "joe" not in text


def test_the_environments_proxy_is_used(
    publisher: Publisher, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.files["numbers.bin"] = CONTENT
    monkeypatch.setenv("http_proxy", publisher.url.removesuffix("/published"))
    assert (
        download(FILE, Address("http://publisher.invalid/x"), tmp_path, told, SOON).read_bytes()
        == CONTENT
    )
    assert publisher.requests[0][0] == "http://publisher.invalid/x/numbers.bin"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mirror.example",
        "ftp://mirror.example",
        "https://",
        "file://host/x",
        "http://joe:s3cret@host:port/x",
    ],
)
def test_what_is_no_url_is_told_without_being_shown(text: str) -> None:
    with pytest.raises(
        ConfigError, match="the mirror is not a URL of https, http or file; give one such as"
    ) as wrong:
        addresses.parse(text)
    assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://mirror.example/datasets/", "https://mirror.example/datasets"),
        (" http://joe@mirror.example:8080/a b ", "http://mirror.example:8080/a%20b"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("file:///srv/mirror", "file:///srv/mirror"),
    ],
)
def test_a_mirrors_address_is_a_folders(text: str, url: str) -> None:
    assert addresses.parse(text).url == url


def test_a_query_is_not_part_of_a_mirrors_address() -> None:
    with pytest.raises(ConfigError, match=r"has a \? or #"):
        addresses.parse("https://mirror.example/?token=1")


def test_a_disk_that_refuses_is_not_a_cut_connection(
    get: Get, publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "numbers.bin.part").mkdir()
    with pytest.raises(OSError, match="directory"):
        get()
    assert os.listdir(tmp_path) == ["numbers.bin.part"]  # noqa: PTH208
