"""Teams in a network of their own: its members meet, and nobody else comes in. Where this
machine allows it.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberline.launch import local
from emberline.launch.local import Local
from emberline.launch.network import PrivateNetwork
from emberline.launch.supervise import supervise
from emberline.launch.team import Limits, Work

LISTEN = """
server = socket.create_server(("", int(config["cluster"]["worker"][0].rpartition(":")[2])))
(folder / "listening").write_text(str(server.getsockname()[1]))
met = server.accept()[0].recv(100).decode()
requests.send(Progress(met))
while not (folder / "tried").exists():
    time.sleep(0.05)
"""
CONNECT = """
while not (folder / "listening").exists():
    time.sleep(0.05)
host, _, port = config["cluster"]["worker"][0].rpartition(":")
socket.create_connection((host, int(port))).sendall(b"hello from rank 1")
time.sleep(600)
"""


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    try:
        with PrivateNetwork() as made:
            yield made
    except OSError as refusal:
        pytest.skip(f"no network can be made here: {refusal}")


def _answers(port: int) -> bool:
    """Whether somebody takes connections at this port, as this process sees it."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("is_apart", [True, False])
def test_members_meet_and_with_a_network_of_their_own_nobody_else_reaches_them(
    is_apart: bool,
    network: PrivateNetwork,
    team_worker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(team_worker.parent))
    heard, reached = [], []

    def try_to_reach(text: str) -> None:
        heard.append(text)
        if len(heard) == 1:
            reached.append(_answers(int((tmp_path / "listening").read_text())))
            (tmp_path / "tried").touch()

    with Local("team_worker", 2, {"FOLDER": str(tmp_path)}, is_apart=is_apart) as team:
        supervise(
            team,
            Work("train-cnn", {"do": [LISTEN, CONNECT]}, on_progress=try_to_reach),
            Limits(start=20, restarts=0),
        )
    assert heard[0] == "hello from rank 1"
    assert reached == [not is_apart]


def test_a_process_in_a_network_has_loopback_and_its_own_files(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("read")
    (tmp_path / "mine").chmod(0o600)
    code = (
        f"import os, socket; print(os.geteuid(), open('{tmp_path}/mine').read(), [name for _, name"
        " in socket.if_nameindex()])"
    )
    command = network.command([sys.executable, "-c", code])
    done = subprocess.run(
        command, pass_fds=network.descriptors, capture_output=True, text=True, timeout=20
    )
    assert done.stdout == f"{os.geteuid()} read ['lo']\n", done.stderr


def test_a_team_without_a_network_of_its_own_says_what_is_to_be_closed_off(
    team_worker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(network: PrivateNetwork) -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(local.PrivateNetwork, "__enter__", refuse)
    monkeypatch.syspath_prepend(str(team_worker.parent))
    with Local("team_worker", 2, {"FOLDER": str(tmp_path)}, is_apart=True) as team:
        supervise(
            team, Work("train-cnn", {"do": ["", "time.sleep(600)"]}), Limits(start=20, restarts=0)
        )
    assert "trainers_within_reach" in caplog.text and "Operation not permitted" in caplog.text
    assert "close the ports of this machine to others" in caplog.text


def test_a_program_that_cannot_make_a_network_says_why() -> None:
    command = [
        sys.executable,
        "-m",
        "emberline.launch.network",
        "enter",
        "0",
        "--",
        sys.executable,
        "-c",
        "print('in')",
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "setns: Invalid argument\n"
