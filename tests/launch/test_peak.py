"""The memory that a process and what it has started hold."""

import subprocess
import sys
import time

from emberline.launch.peak import Peak

MIB = 1 << 20
HOLDING = "import subprocess, sys; held = bytearray(50 << 20); subprocess.run(sys.argv[1:])"
INNER = "import time; held = bytearray(150 << 20); time.sleep(0.5)"


def test_what_a_child_of_a_child_holds_counts_while_it_is_there() -> None:
    with Peak() as before:
        pass
    with Peak() as during:
        subprocess.run([sys.executable, "-c", HOLDING, sys.executable, "-c", INNER], check=True)
    with Peak() as after:
        pass
    assert before.bytes and during.bytes and after.bytes
    assert 200 * MIB < during.bytes - before.bytes < 300 * MIB
    assert after.bytes - before.bytes < 20 * MIB


def test_what_this_process_held_for_a_moment_counts() -> None:
    with Peak() as peak:
        begun = peak.bytes
        held = bytearray(b"1") * (100 * MIB)
        time.sleep(0.3)
        del held
    assert begun and peak.bytes and peak.bytes - begun > 90 * MIB
