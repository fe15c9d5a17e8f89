"""Teams of small real processes that die, stop, hang, never start or lose each other, each as a
test tells them.
"""

import os
import signal
import socket
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from emberline.errors import ConfigError, DataError, Preempted, WorkerError
from emberline.launch import cluster, memory
from emberline.launch.child import Child
from emberline.launch.local import Local
from emberline.launch.supervise import supervise
from emberline.launch.team import Limits, Work

HOST = socket.gethostname()
QUICK = Limits(start=20, silence=3, stall=4, stop=3, restarts=1)


class Recorded(Local):
    """Remembers which processes it has started."""

    pids: list[int]

    def start(self) -> list[Child]:
        team = super().start()
        self.pids = [*getattr(self, "pids", []), *(child.pid for child in team)]
        return team


Team = Callable[..., dict[str, Any]]


@pytest.fixture
def launchers() -> list[Recorded]:
    return []


@pytest.fixture
def run(
    tmp_path: Path, team_worker: Path, monkeypatch: pytest.MonkeyPatch, launchers: list[Recorded]
) -> Iterator[Team]:
    """`run(code, code, ...)` has a process of each rank run its code, and in the end none is
    left.
    """
    monkeypatch.syspath_prepend(team_worker.parent)
    monkeypatch.setenv("TF_CONFIG", "of another job")

    def run_team(
        *codes: str,
        limits: Limits = QUICK,
        never: int = -1,
        ports: Any = cluster.free_ports,
        **interests: Any,
    ) -> dict[str, Any]:
        environment: cluster.Environment = {"FOLDER": str(tmp_path), "NEVER": str(never)}
        launcher = Recorded("team_worker", len(codes), environment, ports)
        launchers.append(launcher)
        with launcher:
            return supervise(
                launcher,
                Work("train-cnn", {"do": [textwrap.dedent(code) for code in codes]}, **interests),
                limits,
            )

    yield run_team
    for launcher in launchers:
        assert not [pid for pid in launcher.pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


# --------------------------------------------------------------------------------------------------
# well


def test_the_answer_and_the_progress_are_the_chiefs(run: Team, launchers: list[Recorded]) -> None:
    heard: list[str] = []
    answer = run(
        "steps(3)", "requests.send(Progress('of rank 1')); steps(3)", on_progress=heard.append
    )
    assert answer == {"pid": launchers[0].pids[0]}
    assert heard == ["at the end"]


def test_a_team_of_one_stays_for_the_next_request(
    tmp_path: Path, run: Team, launchers: list[Recorded]
) -> None:
    with Recorded("team_worker", 1, {"FOLDER": str(tmp_path)}) as launcher:
        launchers.append(launcher)
        first, second = (
            supervise(launcher, Work("train-cnn", {"do": ["pass"]}), QUICK) for _ in range(2)
        )
        assert first["pid"] == second["pid"]
        os.kill(first["pid"], signal.SIGKILL)
        third = supervise(launcher, Work("train-cnn", {"do": ["pass"]}), QUICK)
        assert third["pid"] != first["pid"]


def test_lines_are_forwarded_with_rank_and_host(
    run: Team, capfd: pytest.CaptureFixture[str]
) -> None:
    run("steps(9); time.sleep(.5)", "print('of rank 1', flush=True)")
    assert f"[rank 1 on {HOST}] of rank 1\n" in capfd.readouterr().err


# --------------------------------------------------------------------------------------------------
# deaths


@pytest.mark.parametrize("victim", [0, 1])
def test_who_was_killed_is_named_and_all_start_again(
    run: Team, victim: int, caplog: pytest.LogCaptureFixture, launchers: list[Recorded]
) -> None:
    codes = ["if first() : lose()", "if first(): lose()"]
    codes[victim] = "if first(): time.sleep(.5); kill(9)"
    restarted: list[int] = []
    run(*codes, before_restart=lambda: restarted.append(1))
    assert (
        f"rank {victim} on {HOST} was killed by signal 9 (often for lack of memory: " in caplog.text
    )
    assert f"lack of memory: {memory.describe()}; give it more" in caplog.text
    assert "restart=1 of=1" in caplog.text
    assert restarted == [1]
    assert len(set(launchers[0].pids)) == 4


def test_a_survivor_that_aborts_is_not_who_is_named(
    run: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run("if first(): kill(6)\ntime.sleep(1)", "if first(): time.sleep(1); kill(9)")
    assert f"rank 1 on {HOST} was killed by signal 9" in caplog.text


def test_restarts_are_counted_and_the_last_failure_ends_it(run: Team) -> None:
    began = time.monotonic()
    with pytest.raises(WorkerError) as caught:
        run("time.sleep(600)", "print('what a library said'); sys.exit(7)")
    assert (
        str(caught.value)
        == f"train-cnn: given up after 1 restarts: rank 1 on {HOST} ended with exit code 7; its"
        " last lines: what a library said (each of the 2 times)"
    )
    assert time.monotonic() - began < 40


@pytest.mark.faults
def test_different_failures_are_told_in_turn(run: Team) -> None:
    with pytest.raises(
        WorkerError,
        match=r"1 restarts: \(1\) rank 1 on .* signal 9 .*; \(2\) rank 1 on .* signal 11",
    ):
        run("time.sleep(600)", "kill(9 if first() else 11)")


def test_where_there_is_no_room_any_more_the_failure_is_told(
    team_worker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shrinking(Recorded):
        def start(self) -> list[Child]:
            if hasattr(self, "pids"):
                raise ConfigError("too few slots")
            return super().start()

    monkeypatch.syspath_prepend(team_worker.parent)
    with (
        Shrinking("team_worker", 1, {"FOLDER": str(tmp_path)}) as launcher,
        pytest.raises(
            WorkerError, match=r"was killed by signal 9 .*; it cannot start again: too few slots$"
        ),
    ):
        supervise(launcher, Work("train-cnn", {"do": ["kill(9)"]}), QUICK)


# --------------------------------------------------------------------------------------------------
# silence


def test_who_never_starts_is_named_before_the_deadline_of_a_minute(
    run: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run("if first(): time.sleep(600)", "steps(3)", never=1, limits=Limits(start=6, restarts=1))
    assert (
        f"rank 1 on {HOST} has not started within 6 s: see whether its machine is there"
        in caplog.text
    )


def test_who_is_stopped_is_named(run: Team, caplog: pytest.LogCaptureFixture) -> None:
    run("if first(): time.sleep(600)", "if first(): kill(signal.SIGSTOP)")
    assert (
        f"rank 1 on {HOST} has been silent for 3 s: it is stopped, swapping or cut off"
        in caplog.text
    )


@pytest.mark.faults
def test_who_is_stopped_is_named_when_the_others_notice_first(
    run: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run(
        "if first(): time.sleep(3); lose()",
        "if first(): kill(signal.SIGSTOP)",
        limits=Limits(silence=30, restarts=1),
    )
    assert f"rank 1 on {HOST} has been silent for " in caplog.text


@pytest.mark.faults
def test_a_loss_without_a_culprit_is_the_networks(
    run: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run("if first(): lose()", "if first(): time.sleep(600)")
    assert (
        f"rank 0 on {HOST} lost the others: Connection reset by peer; look at the network"
        in caplog.text
    )


@pytest.mark.faults
def test_who_holds_up_the_others_is_named(run: Team, caplog: pytest.LogCaptureFixture) -> None:
    wait = "if first(): requests.at('step', 12); time.sleep(600)"
    run(wait, "if first(): requests.at('reading', 12); time.sleep(600)", wait)
    assert "no step was finished for 4 s: " in caplog.text
    assert f"rank 1 on {HOST} is at 'reading' of step 12, the others at 'step'" in caplog.text


@pytest.mark.faults
def test_a_long_beginning_is_no_stall(run: Team, caplog: pytest.LogCaptureFixture) -> None:
    run("time.sleep(3)", limits=Limits(stall=1, restarts=0))
    assert "no step was finished" not in caplog.text


# --------------------------------------------------------------------------------------------------
# errors


def test_an_error_of_ours_is_raised_and_not_tried_again(
    run: Team, launchers: list[Recorded]
) -> None:
    with pytest.raises(DataError, match=f"^part-00000 is damaged \\(rank 1 on {HOST}\\)$"):
        run("time.sleep(600)", "fail(DataError('part-00000 is damaged'))")
    with pytest.raises(ConfigError, match=r"^lower it$"):
        run("fail(ConfigError('lower it'))")
    assert [len(launcher.pids) for launcher in launchers] == [2, 1]


def test_a_port_that_is_taken_is_no_restart(run: Team, caplog: pytest.LogCaptureFixture) -> None:
    """As TensorFlow does, each process binds to its own port."""
    bind = """
        host, port = config["cluster"]["worker"][rank].split(":")
        try:
            mine = socket.create_server((host, int(port)))
        except OSError as error:
            requests.send(PortTaken(str(error)))
            time.sleep(600)
    """
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        tries = iter([True, False])

        def ports(count: int) -> Sequence[int]:
            free = cluster.free_ports(count)
            return [taken, *free[1:]] if next(tries) else free

        run(bind, bind, ports=ports, limits=Limits(restarts=0))
        assert (
            "port_taken stage=train-cnn" in caplog.text and "Address already in use" in caplog.text
        )
        with pytest.raises(
            WorkerError, match=r"rank 0 on .*Address already in use.*, 6 times in a row$"
        ):
            run(bind, bind, ports=lambda count: [taken, *cluster.free_ports(count - 1)])


# --------------------------------------------------------------------------------------------------
# stop

# the first beat of its work has been sent before
WORK = "steps(80); (folder / 'at-work').touch(); steps(100000)"
SAVE = """
    step = 0
    steps(80)
    (folder / 'at-work').touch()
    while not requests.stopping():
        requests.at('step', step)
        step += 1
        time.sleep(.02)
    time.sleep(.5 * (1 - rank))
    (folder / f'saved-{rank}').touch()
    fail(Preempted('saved'))
"""


def test_asked_to_stop_everybody_is_told_and_the_chief_saves(run: Team, tmp_path: Path) -> None:
    with pytest.raises(Preempted, match=r"^saved$"):
        run(SAVE, SAVE, stopping=(tmp_path / "at-work").exists)
    assert (tmp_path / "saved-0").exists() and (tmp_path / "saved-1").exists()


@pytest.mark.faults
def test_a_member_that_alone_was_told_by_its_machine_waits_for_the_chief_to_save(
    run: Team, tmp_path: Path
) -> None:
    """As the vote makes all of them save. Rank 1 is faster, as it saves nothing."""
    with pytest.raises(Preempted, match=r"^saved$"):
        run(
            "steps(80); requests._stop()\n" + textwrap.dedent(SAVE),
            "steps(20); kill(15)\n" + textwrap.dedent(SAVE),
        )
    assert (tmp_path / "saved-0").exists()


@pytest.mark.faults
def test_who_does_not_save_is_killed(run: Team, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(
        Preempted,
        match=r"^train-cnn was asked to stop and did not save within 3 s; run it again: it goes on",
    ):
        run(WORK, WORK, stopping=(tmp_path / "at-work").exists)
    assert time.monotonic() - began < 30


def test_who_has_done_nothing_yet_is_not_waited_for(run: Team, tmp_path: Path) -> None:
    with pytest.raises(Preempted, match="was asked to stop before it did anything"):
        run(
            "(folder / 'at-work').touch(); time.sleep(600)",
            stopping=(tmp_path / "at-work").exists,
            limits=Limits(stop=300),
        )


@pytest.mark.faults
def test_a_death_while_it_stops_is_no_reason_to_start_again(run: Team, tmp_path: Path) -> None:
    with pytest.raises(
        Preempted, match=r"was asked to stop, but rank 1 on .* was killed by signal 9"
    ):
        die = "while not requests.stopping(): steps(1)\nkill(9)"
        run(WORK, die, stopping=(tmp_path / "at-work").exists, limits=Limits(stop=300))


def test_an_interrupted_supervisor_leaves_nobody(run: Team, tmp_path: Path) -> None:
    def interrupt() -> bool:
        if (tmp_path / "at-work").exists():
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(
            "time.sleep(600)",
            "(folder / 'at-work').touch(); kill(signal.SIGSTOP)",
            stopping=interrupt,
        )
