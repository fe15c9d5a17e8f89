"""Child processes that are real, running small modules which the tests write."""

import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline import errors
from emberline.errors import EmberlineError
from emberline.launch import memory
from emberline.launch.child import Child, Inbox
from emberline.launch.messages import (
    Beat,
    Done,
    Ended,
    Failed,
    Hello,
    Line,
    Message,
    Progress,
    Request,
    Stop,
    message_of,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EmberlineError)
]
START = """
import os, signal, subprocess, sys, time
from emberline.launch.child import Requests
from emberline.launch.messages import Done, Progress

requests = Requests()
for request in requests:
"""


class Talk:
    """A child and what it says, without the beats."""

    def __init__(self, module: str, **options: Any) -> None:
        self._inbox: Inbox = queue.SimpleQueue()
        self.child = Child(module, self._inbox, **options)

    def next(self) -> Message:
        give_up = time.monotonic() + 30  # of its own: the beats go on however long nothing is said
        while True:
            child, message = self._inbox.get(timeout=max(0.0, give_up - time.monotonic()))
            assert child is self.child
            if not isinstance(message, Hello | Beat):
                return message

    def ask(self, **request: Any) -> list[Message]:
        """The messages up to the one that is done, or the process's end."""
        self.child.send(Request(request))
        messages = [self.next()]
        while not isinstance(messages[-1], Done | Ended):
            messages.append(self.next())
        return messages


Worker = Callable[..., Talk]

# of the machine that it was on
KILLED = Ended("was killed by signal 9", memory.describe())


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """`worker(lines)` starts a process that runs these lines for each request."""
    started: list[Child] = []
    monkeypatch.syspath_prepend(tmp_path)

    def start(*lines: str, **options: Any) -> Talk:
        (tmp_path / "small_worker.py").write_text(
            START + "".join(f"    {line}\n" for line in lines)
        )
        talk = Talk("small_worker", **options)
        started.append(talk.child)
        return talk

    yield start
    for child in started:
        child.kill()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_requests_are_answered_in_turn_by_one_process(worker: Worker) -> None:
    talk = worker("requests.send(Done(dict(pid=os.getpid(), said=request)))")
    found = [talk.ask(word=word) for word in ("grün", "line\nbreak", "")]
    assert talk.child.pid != os.getpid()
    assert found == [
        [Done({"pid": talk.child.pid, "said": {"word": word}})]
        for word in ("grün", "line\nbreak", "")
    ]


def test_a_request_may_have_several_answers_up_to_the_one_that_is_done(worker: Worker) -> None:
    talk = worker(
        "for n in range(3): requests.send(Progress(str(n)))",
        "requests.send(Done({}))",
        "requests.send(Done({'too': 'late'}))",
    )
    assert talk.ask() == [Progress("0"), Progress("1"), Progress("2"), Done({})]


def test_it_says_hello_first_and_then_every_second_at_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small_worker.py").write_text(
        f"{START}    requests.at('reading', request['step'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    inbox: Inbox = queue.SimpleQueue()
    child = Child("small_worker", inbox)
    try:
        assert inbox.get(timeout=30)[1] == Hello(child.pid, socket.gethostname())
        assert inbox.get(timeout=30)[1] == Beat("", 0)
        began = time.monotonic()
        child.send(Request({"step": 12}))
        beats = [inbox.get(timeout=30)[1] for _ in range(3)]
        assert beats[-1] == Beat("reading", 12)
        assert 1 < time.monotonic() - began < 20
    finally:
        child.kill()


def test_large_messages_pass_in_both_directions(worker: Worker) -> None:
    talk = worker("requests.send(Done(dict(text=request['text'] * 2)))")
    text = "ä" * 300_000
    assert talk.ask(text=text) == [Done({"text": text * 2})]


def test_messages_of_several_threads_stay_whole(worker: Worker) -> None:
    send = "lambda n: [requests.send(Progress(str(n) * 5000)) for _ in range(50)]"
    talk = worker(
        "import threading",
        f"threads = [threading.Thread(target={send}, args=(n,)) for n in range(4)]",
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]",
        "requests.send(Done({}))",
    )
    texts = [message.text for message in talk.ask() if isinstance(message, Progress)]
    assert sorted(texts) == sorted(str(n) * 5000 for n in range(4) for _ in range(50))


def test_what_the_process_prints_goes_to_standard_error(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    talk = worker(
        "print('by Python', flush=True)",
        "os.write(1, b'by a library\\n')",
        "subprocess.run([sys.executable, '-c', 'print(\"by a process\")'])",
        "requests.send(Done({}))",
    )
    assert talk.ask() == [Done({})]
    told, lines, deadline = "", {"by Python", "by a library", "by a process"}, time.monotonic() + 20
    while not lines <= set(told.splitlines()) and time.monotonic() < deadline:
        time.sleep(0.01)  # it may arrive after the answer
        captured = capfd.readouterr()
        assert captured.out == ""
        told += captured.err
    assert lines <= set(told.splitlines())


def test_captured_lines_are_messages_and_come_before_the_end(worker: Worker) -> None:
    talk = worker("print('one'); print('two', file=sys.stderr); sys.exit(3)", capture=True)
    messages = talk.ask()
    assert set(messages[:-1]) == {Line("one"), Line("two")}
    assert messages[-1] == Ended("ended with exit code 3")


def test_the_environment_is_this_ones_and_what_is_added_but_not_what_is_taken_away(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INHERITED", "REMOVED"):
        monkeypatch.setenv(name, "1")
    names = "('INHERITED', 'ADDED', 'REMOVED')"
    talk = worker(
        f"requests.send(Done(dict(found=[os.environ.get(k) for k in {names}], path=sys.path)))",
        environment={"ADDED": "2", "REMOVED": None},
    )
    (done,) = talk.ask()
    assert isinstance(done, Done)
    assert done.answer["found"] == ["1", "2", None]
    assert set(filter(None, sys.path)) <= set(done.answer["path"])


def test_an_exception_ends_the_process_and_is_shown(
    worker: Worker, capfd: pytest.CaptureFixture[str]
) -> None:
    talk = worker("requests.send(Progress('1'))", "raise ZeroDivisionError('by no means')")
    assert talk.ask() == [Progress("1"), Ended("ended with exit code 1")]
    assert capfd.readouterr().err.splitlines()[-1] == "ZeroDivisionError: by no means"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGABRT])
def test_a_signal_is_named(worker: Worker, number: signal.Signals) -> None:
    told = KILLED if number == signal.SIGKILL else Ended(f"was killed by signal {number.value}")
    assert worker(f"os.kill(os.getpid(), {number.value})").ask() == [told]


def test_sigterm_and_the_parents_wish_to_stop_are_for_the_worker_to_see(worker: Worker) -> None:
    wait = (
        "while not requests.stopping(): time.sleep(0.01)",
        "requests.send(Done({'is': 'saved'}))",
    )
    told = worker("requests.send(Progress('at work'))", *wait)
    told.child.send(Request({}))
    assert told.next() == Progress("at work")
    told.child.send(Stop())
    assert told.next() == Done({"is": "saved"})
    signalled = worker("requests.send(Progress('at work'))", *wait)
    signalled.child.send(Request({}))
    assert signalled.next() == Progress("at work")
    os.kill(signalled.child.pid, signal.SIGTERM)
    assert signalled.next() == Done({"is": "saved"})


def test_sigterm_is_seen_whatever_handler_a_library_puts_in_place(worker: Worker) -> None:
    """TensorFlow does, when it makes a strategy of several workers."""
    ignore = (
        "import ctypes; ctypes.CDLL(None).signal(15, ctypes.c_void_p(1));"
        " requests.send(Progress('at work'))"
    )
    talk = worker(
        ignore,
        "while not requests.stopping(): time.sleep(0.01)",
        "requests.send(Done({'is': 'saved'}))",
    )
    talk.child.send(Request({}))
    assert talk.next() == Progress("at work")
    os.kill(talk.child.pid, signal.SIGTERM)
    assert talk.next() == Done({"is": "saved"})


def test_a_module_that_does_not_exist_is_a_child_that_died() -> None:
    talk = Talk("emberline.no_such_module", capture=True)
    messages = talk.ask()
    talk.child.kill()
    assert "No module named emberline.no_such_module" in str(messages[0])
    assert messages[-1] == Ended("ended with exit code 1")


def test_sending_to_a_dead_process_is_no_error(worker: Worker) -> None:
    talk = worker("os.kill(os.getpid(), signal.SIGKILL)")
    assert talk.ask() == [KILLED]
    for _ in range(2):
        talk.child.send(Request({}))


def test_half_a_message_is_none(worker: Worker) -> None:
    """The process is killed in the middle of one."""
    talk = worker(
        "requests._answers.write('{\"done\": '); requests._answers.flush(); os.kill(os.getpid(),"
        " signal.SIGKILL)"
    )
    assert talk.ask() == [KILLED]


def test_kill_leaves_no_process_not_even_those_that_the_child_has_started(worker: Worker) -> None:
    talk = worker(
        "requests.send(Done(dict(pid=subprocess.Popen(['sleep', '600']).pid)))", "while True: pass"
    )
    (done,) = talk.ask()
    assert isinstance(done, Done)
    assert is_alive(talk.child.pid) and is_alive(done.answer["pid"])
    talk.child.kill()
    assert not is_alive(talk.child.pid)
    wait_until_gone(done.answer["pid"])
    talk.child.kill()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


WORK = [
    "while True: pass",
    "time.sleep(600)",
    "requests.send(Done({}))",
    "os.kill(os.getpid(), signal.SIGSTOP)",
]


@pytest.mark.parametrize("work", WORK)
def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path, work: str) -> None:
    """Whether it is busy, asleep, waits for the next request, or is stopped. Standard error
    ends when both are gone.
    """
    (tmp_path / "small_worker.py").write_text(
        f"{START}    requests.send(Progress(str(os.getpid())))\n    {work}\n"
    )
    script = "import queue, time; from emberline.launch.child import Child\n"
    script += "from emberline.launch.messages import Progress, Request\n"
    script += (
        "child = Child('small_worker', queue.SimpleQueue()); child.send(Request({}));"
        " print(child.pid, flush=True)\n"
    )
    script += (
        "while not isinstance(child._inbox.get()[1], Progress): pass\nprint('at work', flush=True);"
        " time.sleep(600)"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            assert parent.stdout.readline() == "at work\n"
            time.sleep(0.1)
            assert is_alive(pid)
            parent.kill()
            parent.communicate(timeout=10)
        finally:
            parent.kill()
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_travels_as_a_message(kind: type[EmberlineError]) -> None:
    message = message_of(Failed.of(kind('ratings: 8 parts expected, "7" found')).to_line())
    assert isinstance(message, Failed)
    error = message.to_error()
    assert type(error) is kind
    assert str(error) == 'ratings: 8 parts expected, "7" found'


def test_all_kinds_of_errors_are_known() -> None:
    assert {kind.__name__ for kind in KINDS} >= {
        "EmberlineError",
        "ConfigError",
        "SchemaError",
        "TrainingError",
        "Preempted",
    }
