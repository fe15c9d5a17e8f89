"""What processes that are started here write to standard error, less the lines that nobody can
act on.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 16


def sieve(noise: re.Pattern[bytes]) -> int:
    """A descriptor to write to, whose lines come to our standard error, but for those that are
    `noise`; its user closes it.
    """
    reading, writing = os.pipe()
    threading.Thread(target=_pass_on, args=(reading, os.dup(2), noise), daemon=True).start()
    return writing


@contextmanager
def sifted(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Who is started in this context writes to our standard error by a sieve."""
    writing, ours = sieve(noise), os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


def _pass_on(reading: int, ours: int, noise: re.Pattern[bytes]) -> None:
    rest = b""
    while chunk := os.read(reading, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        _write(ours, b"".join(line + b"\n" for line in lines if not noise.fullmatch(line)))
    _write(ours, rest)
    os.close(reading)
    os.close(ours)


def _write(ours: int, text: bytes) -> None:
    """Nobody may read what is written any more; who writes must not wait for that."""
    with suppress(OSError):
        while text:
            text = text[os.write(ours, text) :]
