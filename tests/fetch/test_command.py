"""`emberline fetch` as people use it, against a publisher on loopback."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fetch.conftest import RATINGS, Publisher

from emberline.cli.fetch import fetch
from emberline.errors import ConfigError
from emberline.fetch import catalogue
from emberline.fetch.catalogue import Source

Command = Callable[..., "subprocess.CompletedProcess[str]"]
FIRST = 1_000_000


def test_the_real_fashion_mnist_arrives_over_a_connection_that_breaks(
    command: Command, publisher: Publisher, tmp_path: Path, shared_data: Path
) -> None:
    real = {path.name: path.read_bytes() for path in (shared_data / "fashion-mnist").iterdir()}
    publisher.files = dict(real)
    publisher.cuts = [20_000_000]
    done = command("fetch", "fashion-mnist", "--mirror", publisher.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert {
        path.name: path.read_bytes() for path in (tmp_path / "data" / "fashion-mnist").iterdir()
    } == real
    assert publisher.ranges()[:2] == [None, "bytes=20000000-"]
    lines = done.stdout.splitlines()
    assert lines[1].startswith("Licence: MIT. ")
    assert "20,000,000 of 26,421,880 bytes are here, trying again in 1 s" in done.stdout
    assert "t10k-labels-idx1-ubyte.gz: 5,148 of 5,148 bytes, " in done.stdout
    assert lines[-1] == "Try: emberline run fashion-mnist"


def test_a_fetched_dataset_is_there_and_the_next_step_is_named(
    publisher: Publisher,
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(catalogue, "SOURCES", (source,))
    monkeypatch.chdir(tmp_path)
    fetch("tiny", to="data", mirror=publisher.url)
    assert (tmp_path / "data" / "tiny" / "ratings.csv").read_text() == RATINGS
    assert capsys.readouterr().out.endswith("MB/s\nTry: emberline run jobs/pipelines/tiny.toml\n")
    fetch("tiny", to=str(tmp_path / "data"))
    assert (
        capsys.readouterr().out
        == "tiny is in data/tiny already, and complete; --force fetches it again.\nTry: emberline"
        " run jobs/pipelines/tiny.toml\n"
    )
    fetch("tiny", to="my data", mirror=publisher.url)
    assert capsys.readouterr().out.endswith(
        "tiny.toml --set 'ratings.path=my data/tiny/ratings.csv'\n"
    )


def test_what_goes_wrong_is_one_line_that_says_what_to_do(
    command: Command, publisher: Publisher
) -> None:
    done = command(
        "fetch", "movielens-1m", "--mirror", publisher.url.replace("//", "//joe:s3cret@")
    )
    assert done.returncode == 3
    assert (
        done.stderr
        == f"emberline: error: {publisher.url}/ml-1m.zip cannot be had: the server answers 404 Not"
        " Found; by hand: download https://files.grouplens.org/datasets/movielens/ml-1m.zip,"
        " put it into data, and run this again\n"
    )
    assert done.stdout.startswith("movielens-1m: 5,917,549 bytes from http://127.0.0.1:")
    assert "s3cret" not in done.stdout


def test_a_dataset_is_fetched_into_a_folder_of_this_machine() -> None:
    with pytest.raises(
        ConfigError, match="s3://bucket/data is not on this machine; fetch into a folder here"
    ):
        fetch("cifar10", to="s3://bucket/data")


def test_a_killed_fetch_leaves_no_half_dataset_and_the_next_goes_on(
    publisher: Publisher, command: Command, tmp_path: Path
) -> None:
    """Of CIFAR-10, or something of its length."""
    publisher.files["cifar-10-binary.tar.gz"] = bytes(170_052_171)
    publisher.cuts, publisher.stalls = [FIRST], True
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "fetch",
        "cifar10",
        "--mirror",
        publisher.url,
    ]
    with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        part = tmp_path / "data" / ".cifar10.fetch" / "cifar-10-binary.tar.gz.part"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            part.exists() and part.stat().st_size > FIRST // 2
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "data" / "cifar10").exists()
    here = part.stat().st_size
    assert FIRST // 2 < here <= FIRST
    publisher.statuses = [404]
    assert command("fetch", "cifar10", "--mirror", publisher.url).returncode == 3
    assert publisher.ranges() == [None, f"bytes={here}-"]
