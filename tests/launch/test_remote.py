"""Agents and the meeting that they come to, in this process, with real connections and real
small processes.
"""

import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from emberline.launch import agent
from emberline.launch.child import Inbox
from emberline.launch.messages import (
    Done,
    Ended,
    Hello,
    Introduction,
    Line,
    Message,
    Progress,
    Request,
    Stop,
)
from emberline.launch.remote import Meeting, Remote

HOST = "127.0.0.1"
AnyMessage = TypeVar("AnyMessage", bound=Message)


@pytest.fixture
def inbox() -> Inbox:
    return queue.SimpleQueue()


@pytest.fixture
def meeting(inbox: Inbox) -> Iterator[Meeting]:
    meeting = Meeting(2, inbox, HOST)
    yield meeting
    meeting.close()


Join = Callable[..., threading.Thread]


@pytest.fixture
def join(
    meeting: Meeting, team_worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Join]:
    """`join(rank)` starts an agent; in the end all of them have ended by themselves."""
    monkeypatch.syspath_prepend(team_worker.parent)
    agents: list[threading.Thread] = []

    def start(rank: int, token: str | None = None) -> threading.Thread:
        arguments = (
            (HOST, meeting.port),
            token or meeting.token,
            rank,
            "team_worker",
            {"FOLDER": str(tmp_path)},
        )
        agents.append(threading.Thread(target=agent.serve, args=arguments, daemon=True))
        agents[-1].start()
        return agents[-1]

    yield start
    meeting.close()
    for each in agents:
        each.join(10)
        assert not each.is_alive()


def messages(inbox: Inbox, kind: type[AnyMessage], count: int) -> dict[int, AnyMessage]:
    """The first that each member says of a kind: rank 0 says twice that it is done."""
    found: dict[int, AnyMessage] = {}
    while len(found) < count:
        member, message = inbox.get(timeout=30)
        if isinstance(message, kind):
            found.setdefault(member.rank, message)
    return found


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_processes_start_when_all_agents_are_there_with_everybodys_address(
    meeting: Meeting, join: Join, inbox: Inbox
) -> None:
    for member in meeting.members:
        member.send(Request({"do": ["requests.send(Done(config))"] * 2}))
    join(1)
    with pytest.raises(queue.Empty):
        inbox.get(timeout=1)
    join(0)
    told = {rank: done.answer for rank, done in messages(inbox, Done, 2).items()}
    assert told[0]["cluster"] == told[1]["cluster"]
    assert told[0]["cluster"]["worker"] == [member.address for member in meeting.members]
    assert [told[rank]["task"]["index"] for rank in (0, 1)] == [0, 1]
    assert {member.host for member in meeting.members} == {socket.gethostname()}


@pytest.mark.parametrize("work", ["time.sleep(600)", "while True: pass", "kill(signal.SIGSTOP)"])
def test_processes_end_when_the_meeting_is_closed(
    work: str, meeting: Meeting, join: Join, inbox: Inbox
) -> None:
    for member in meeting.members:
        member.send(Request({"do": [f"requests.send(Progress(str(os.getpid())))\n{work}"] * 2}))
    agents = [join(0), join(1)]
    pids = {rank: int(said.text) for rank, said in messages(inbox, Progress, 2).items()}
    meeting.close()
    for each in agents:
        each.join(10)
    assert not any(is_alive(pid) for pid in pids.values())


def test_how_a_process_has_ended_is_passed_on(meeting: Meeting, join: Join, inbox: Inbox) -> None:
    join(0), join(1)
    meeting.members[1].send(Request({"do": ["", "print('last words', flush=True); kill(9)"]}))
    assert messages(inbox, Line, 1) == {1: Line("last words")}
    assert messages(inbox, Ended, 1)[1].how == "was killed by signal 9"


def test_strangers_and_second_agents_of_a_rank_are_sent_away(
    meeting: Meeting, join: Join, inbox: Inbox
) -> None:
    join(0, "a guess").join(10)
    first = join(0)
    wait_until(lambda: len(meeting._arrived) == 1)
    join(0).join(10)
    for nonsense in (b"\n", b"[]\n", b"GET / HTTP/1.1\n", b'{"token": 3}\n', b"x" * 20_000):
        with socket.create_connection((HOST, meeting.port)) as connection:
            connection.sendall(nonsense)
            connection.settimeout(10)
            assert is_closed(connection)
    assert first.is_alive() and not meeting.is_complete
    join(1)
    messages(inbox, Hello, 2)


def test_an_agent_of_another_version_is_sent_away_and_logged_once(
    meeting: Meeting, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("emberline"), "propagate", True)
    said = Introduction(meeting.token, 0, "there", "there:1").to_json() | {"version": 9}
    for line in (json.dumps(said).encode() + b"\n", b""):
        with socket.create_connection((HOST, meeting.port)) as connection:
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            assert is_closed(connection)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        (
            "WARNING",
            f'agent_refused host={HOST} because="a process said what is not understood here:'
            ' Introduction.version: expected 1, found 9; is the same Emberline on all machines?"',
        )
    ]
    assert meeting.token not in caplog.text


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_agent_without_a_driver_ends(meeting: Meeting, join: Join) -> None:
    meeting.close()
    with socket.create_server((HOST, 0)) as server, pytest.raises(OSError):
        port = server.getsockname()[1]
        server.close()
        agent.serve((HOST, port), "", 0, "team_worker", {})


def test_a_message_to_a_member_that_is_gone_is_no_error(inbox: Inbox) -> None:
    here, there = socket.socketpair()
    member = Remote(0)
    member.connect(here, {})
    there.close()
    assert [member.send(Stop()) for _ in range(3)] == [None] * 3
    here.close()
