"""Child processes that are real, running small modules which the tests write."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emberline import errors
from emberline.errors import EmberlineError
from emberline.launch.child import Child, ChildDiedError, ChildKilledError, error_message, error_of

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EmberlineError)]
START = """
import os, signal, subprocess, sys, time
from emberline.launch.child import Requests

requests = Requests()
for request in requests:
"""

Worker = Callable[..., Child]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """`worker(lines)` starts a process that runs these lines for each request."""
    started: list[Child] = []
    monkeypatch.syspath_prepend(tmp_path)

    def start(*lines: str, environment: dict[str, str] | None = None) -> Child:
        (tmp_path / "small_worker.py").write_text(START + "".join(f"    {line}\n" for line in lines))
        started.append(Child("small_worker", environment))
        return started[-1]

    yield start
    for child in started:
        child.close()


def answers(child: Child, **request: Any) -> list[dict[str, Any]]:
    return list(child.ask(request))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_requests_are_answered_in_turn_by_one_process(worker: Worker) -> None:
    child = worker("requests.send(done=True, pid=os.getpid(), said=request)")
    found = [answers(child, word=word) for word in ("grün", "line\nbreak", "")]
    pid = found[0][0]["pid"]
    assert pid != os.getpid()
    assert found == [[{"done": True, "pid": pid, "said": {"word": word}}] for word in ("grün", "line\nbreak", "")]


def test_a_request_may_have_several_answers_up_to_the_one_that_is_done(worker: Worker) -> None:
    child = worker("for n in range(3): requests.send(progress=n)", "requests.send(done=True)", "requests.send(done='early')")
    assert answers(child) == [{"progress": 0}, {"progress": 1}, {"progress": 2}, {"done": True}]


def test_answers_arrive_while_the_process_is_still_at_work(worker: Worker) -> None:
    child = worker("requests.send(progress=1)", "time.sleep(60)")
    began = time.monotonic()
    assert next(child.ask({})) == {"progress": 1}
    assert time.monotonic() - began < 30


def test_large_messages_pass_in_both_directions(worker: Worker) -> None:
    child = worker("requests.send(done=True, text=request['text'] * 2)")
    text = "ä" * 300_000
    assert answers(child, text=text) == [{"done": True, "text": text * 2}]


def test_what_the_process_prints_goes_to_standard_error(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    child = worker(
        "print('by Python', flush=True)",
        "os.write(1, b'by a library\\n')",
        "subprocess.run([sys.executable, '-c', 'print(\"by a process\")'])",
        "requests.send(done=True)",
    )
    assert answers(child) == [{"done": True}]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert {"by Python", "by a library", "by a process"} <= set(captured.err.splitlines())


def test_the_environment_is_this_ones_and_what_is_added(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "1")
    child = worker(
        "requests.send(done=[os.environ[k] for k in ('INHERITED', 'ADDED')], path=sys.path)", environment={"ADDED": "2"}
    )
    (answer,) = answers(child)
    assert answer["done"] == ["1", "2"]
    assert set(filter(None, sys.path)) <= set(answer["path"])


def test_an_exception_ends_the_process_and_is_shown(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    child = worker("requests.send(progress=1)", "raise ZeroDivisionError('by no means')")
    asked = child.ask({})
    assert next(asked) == {"progress": 1}
    with pytest.raises(ChildDiedError, match=r"exit code 1$") as caught:
        next(asked)
    assert caught.type is ChildDiedError
    assert capfd.readouterr().err.splitlines()[-1] == "ZeroDivisionError: by no means"


def test_an_exit_code_is_named(worker: Worker) -> None:
    with pytest.raises(ChildDiedError, match=r"exit code 7$"):
        answers(worker("sys.exit(7)"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_signal_is_named(worker: Worker, number: signal.Signals) -> None:
    with pytest.raises(ChildKilledError, match=f"was killed by signal {number.value}$"):
        answers(worker(f"os.kill(os.getpid(), {number.value})"))


def test_a_module_that_does_not_exist_is_a_child_that_died() -> None:
    child = Child("emberline.no_such_module")
    try:
        with pytest.raises(ChildDiedError, match="exit code 1"):
            answers(child)
    finally:
        child.close()


def test_asking_a_dead_process_says_that_it_is_dead(worker: Worker) -> None:
    child = worker("os.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(2):
        with pytest.raises(ChildKilledError, match="signal 9"):
            answers(child)


def test_half_a_message_is_none(worker: Worker) -> None:
    """The process is killed while the pipe is full of a message that nobody has read yet."""
    child = worker("requests.send(pid=os.getpid())", "requests.send(done='x' * 10_000_000)")
    asked = child.ask({})
    pid = next(asked)["pid"]
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ChildKilledError, match="signal 9"):
        next(asked)


def test_close_leaves_no_process(worker: Worker) -> None:
    child = worker("requests.send(pid=os.getpid())", "while True: pass")
    pid = next(child.ask({}))["pid"]
    assert is_alive(pid)
    child.close()
    assert not is_alive(pid)
    child.close()


@pytest.mark.parametrize("work", ["while True: pass", "time.sleep(600)", "requests.send(done=True)"])
def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path, work: str) -> None:
    """Whether it is busy, asleep, or waits for the next request. Both hold standard error, which ends when both are gone."""
    (tmp_path / "small_worker.py").write_text(f"{START}    requests.send(pid=os.getpid())\n    {work}\n")
    script = "import time; from emberline.launch.child import Child; child = Child('small_worker')\n"
    script += "print(next(child.ask({}))['pid'], flush=True); time.sleep(600)"
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
    error = error_of(error_message(kind('ratings: 8 parts expected, "7" found')))
    assert type(error) is kind
    assert str(error) == 'ratings: 8 parts expected, "7" found'


def test_all_kinds_of_errors_are_known() -> None:
    assert {kind.__name__ for kind in KINDS} >= {"EmberlineError", "ConfigError", "SchemaError", "TrainingError", "Preempted"}
