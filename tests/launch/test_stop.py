"""SIGTERM, received by real processes."""

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


def signalled(code: str, times: int = 1) -> tuple[int, str]:
    """Run the code, send SIGTERM as often when it has said that it is ready; its exit code, and what it said then."""
    program = [sys.executable, "-c", START + textwrap.dedent(code)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        out, _ = process.communicate(timeout=20)
    return process.returncode, out


@pytest.mark.parametrize("work", ["time.sleep(60)", "while True: pass"])
def test_it_interrupts_who_cannot_save(work: str) -> None:
    code = f"""
        try:
            print("ready", flush=True)
            {work}
        except Exception:
            print("swallowed")
        finally:
            print("cleaned up", stop.requested)
    """
    assert signalled(code) == (75, "cleaned up True\n")


SAVE = """
with stop.saving():
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    {}
    print("saved")
"""


def test_who_saves_is_not_interrupted_but_asked() -> None:
    assert signalled(SAVE.format("")) == (0, "saved\n")


def test_a_second_one_interrupts_who_saves() -> None:
    assert signalled(SAVE.format("time.sleep(60)"), times=2) == (75, "")


def test_who_has_saved_is_interrupted_again() -> None:
    assert signalled("with stop.saving(): pass\nprint('ready', flush=True)\ntime.sleep(60)") == (75, "")


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


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of a parent's end on Linux only")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_parents_end_is_a_wish_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(number)
        assert parent.communicate(timeout=20)[0] == "saved\n"  # which waits for the child, who has the pipe, too
