"""Commands with a deadline: what is said of each way to end."""

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emberline.doctor.probes import Probes

Program = Callable[[str, str], Path]


def test_a_command_that_ends_well_has_said_something(probes: Probes, program: Program) -> None:
    answer = probes.ask(
        [str(program("p", "echo $GREETING; echo there >&2"))], {"GREETING": "hello"}
    )
    assert (answer.out, answer.err, answer.failure) == ("hello\n", "there\n", None)


def test_a_command_that_fails_gives_its_last_line_that_is_no_frame_of_a_stack(
    probes: Probes, program: Program
) -> None:
    script = "echo first >&2; echo 'Error: no luck' >&2; printf '\\tat a.Frame\\n' >&2; exit 3"
    assert (
        probes.ask([str(program("p", script))], {}).failure
        == "ended with exit code 3: Error: no luck"
    )


def test_a_crash_is_an_answer_with_the_name_of_its_signal(probes: Probes) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    answer = probes.ask([sys.executable, "-c", crash], {})
    assert answer.failure == "was killed by signal 4 (SIGILL)"
    assert answer.signal == signal.SIGILL


def test_what_is_not_there_or_no_program_cannot_be_started(probes: Probes, tmp_path: Path) -> None:
    assert (
        probes.ask([str(tmp_path / "none")], {}).failure
        == "cannot be started: No such file or directory"
    )
    (tmp_path / "text").write_text("words", encoding="utf-8")
    assert (
        probes.ask([str(tmp_path / "text")], {}).failure == "cannot be started: Permission denied"
    )


def test_a_command_that_hangs_is_ended_with_all_that_it_has_started(
    program: Program, tmp_path: Path
) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    began = time.monotonic()
    with Probes(seconds=0.5) as probes:
        assert (
            probes.ask([str(program("p", script))], os.environ).failure == "gave no answer in 0.5 s"
        )
    assert time.monotonic() - began < 10
    assert _has_ended(int((tmp_path / "pid").read_text(encoding="ascii")))


def test_who_stops_the_doctor_stops_its_commands_and_none_starts_after(
    program: Program, tmp_path: Path
) -> None:
    began = time.monotonic()
    command = [str(program("p", f"echo $$ > {tmp_path}/pid; exec sleep 60"))]
    with ThreadPoolExecutor() as pool, Probes() as probes:
        answer = pool.submit(probes.ask, command, os.environ)
        while not (tmp_path / "pid").is_file() and time.monotonic() - began < 10:
            time.sleep(0.01)
    assert answer.result().signal == signal.SIGKILL
    assert time.monotonic() - began < 10
    assert probes.ask(command, os.environ).failure == "was not asked: the doctor was stopped"


def _has_ended(pid: int) -> bool:
    """Whether the process is gone, or dead and waiting for whoever inherited it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.is_file() and stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False
