"""SIGTERM and Ctrl-C, received by real processes."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

START = """
import time
from emberline.launch.stop import Stop

stop = Stop()
stop.listen()
"""


def signalled(
    code: str, times: int = 1, number: signal.Signals = signal.SIGTERM
) -> tuple[int, str]:
    """Run the code, send a signal as often when it has said that it is ready; its exit code,
    and what it said then.
    """
    program = [sys.executable, "-c", START + textwrap.dedent(code)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3)
        out, _ = process.communicate(timeout=20)
    return process.returncode, out


BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@BOTH
@pytest.mark.parametrize("work", ["time.sleep(60)", "while True: pass"])
def test_it_interrupts_who_cannot_save(work: str, number: signal.Signals) -> None:
    code = f"""
        try:
            print("ready", flush=True)
            {work}
        except Exception:
            print("swallowed")
        finally:
            print("cleaned up", stop.requested)
    """
    assert signalled(code, number=number) == (75, "cleaned up True\n")


SAVE = """
with stop.saving():
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    {}
    print("saved")
"""


@BOTH
def test_who_saves_is_not_interrupted_but_asked(number: signal.Signals) -> None:
    assert signalled(SAVE.format(""), number=number) == (0, "saved\n")


@BOTH
def test_a_second_one_interrupts_who_saves(number: signal.Signals) -> None:
    assert signalled(SAVE.format("time.sleep(60)"), 2, number) == (75, "")


@BOTH
def test_who_has_saved_is_interrupted_again(number: signal.Signals) -> None:
    assert signalled(
        "with stop.saving(): pass\nprint('ready', flush=True)\ntime.sleep(60)", number=number
    ) == (75, "")


def test_who_does_not_end_is_ended_by_a_second_ctrl_c() -> None:
    code = """
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            time.sleep(60)
    """
    assert signalled(code, 2, signal.SIGINT) == (75, "")


def test_a_handler_that_a_library_puts_in_our_place_does_not_stay() -> None:
    code = """
        import signal
        from emberline.launch.stop import handler_kept

        with handler_kept(signal.SIGINT):
            signal.signal(signal.SIGINT, signal.default_int_handler)
        print("ready", flush=True)
        time.sleep(60)
    """
    assert signalled(code, number=signal.SIGINT) == (75, "")


PARENT = """
import subprocess, sys, threading, time
for _ in range(20):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
child.wait()
"""
CHILD = """
import time
from emberline.launch.stop import Stop

stop = Stop()
stop.listen(parent=True)
with stop.saving():
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    time.sleep(0.3)
    print("saved")
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel tells of a parent's end on Linux only"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_parents_end_is_a_wish_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(number)
        # which waits for the child, who has the pipe, too
        assert parent.communicate(timeout=20)[0] == "saved\n"
