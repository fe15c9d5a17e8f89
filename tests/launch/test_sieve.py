"""Standard error of processes, through a sieve."""

import subprocess
import sys

import pytest

from emberline.launch import child

PROGRAM = """
import re, subprocess, sys, time
from emberline.launch.sieve import sifted

with sifted(re.compile(rb"WARNING: nothing to see here\\s*")):
    child = subprocess.Popen(["sh", "-c", sys.argv[1]])
child.wait()
time.sleep(0.3)
print("ours", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo WARNING: nothing to see here >&2; echo an error >&2", "an error\nours\n"),
        (
            "echo 'Error: WARNING: nothing to see here' >&2",
            "Error: WARNING: nothing to see here\nours\n",
        ),
        ("printf 'no end' >&2", "no endours\n"),
        ("yes | head -c 300000 | tr -d '\\n' >&2", "y" * 150_000 + "ours\n"),
        ("true", "ours\n"),
    ],
)
def test_all_but_the_noise_arrives(script: str, expected: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, script], capture_output=True, text=True, timeout=30
    )
    assert ran.stderr == expected


def test_what_tensorflow_says_at_its_import_is_noise_and_its_errors_are_not() -> None:
    for line in (
        b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        (
            b"I0000 00:00:1795998630.810580    5572 port.cc:153] oneDNN custom operations are on."
            b" You may see slightly different ..."
        ),
    ):
        assert child.NOISE.fullmatch(line)
    assert not child.NOISE.fullmatch(
        b"E0000 00:00:1795998630.810580    5572 port.cc:153] oneDNN custom operations are on. ..."
    )
