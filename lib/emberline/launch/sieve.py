"""What processes that are started here write to standard error, less the lines that nobody can act on."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 1 << 16


@contextmanager
def sifted(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Who is started in this context writes to our standard error by a pipe, which holds back the lines that are `noise`."""
    reading, writing = os.pipe()
    ours = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    threading.Thread(target=_pass_on, args=(reading, ours, noise), daemon=True).start()
    try:
        yield
    finally:
        os.dup2(ours, 2)


def _pass_on(reading: int, ours: int, noise: re.Pattern[bytes]) -> None:
    rest = b""
    while chunk := os.read(reading, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        _write(ours, b"".join(line + b"\n" for line in lines if not noise.fullmatch(line)))
    _write(ours, rest)


def _write(ours: int, text: bytes) -> None:
    """Nobody may read what is written any more; who writes must not wait for that."""
    with suppress(OSError):
        while text:
            text = text[os.write(ours, text) :]
