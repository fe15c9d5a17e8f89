"""Log lines as `time level logger event key=value ...`, configured once per process, and what a
text may show of secrets.

What is known to be harmless is shown; of a URI neither user nor query, and no value that was
announced by `hide`.
"""

import logging
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

_PLAIN = re.compile(r"[\w.:/@%+*,-]+")
_SECRET = re.compile(
    r"secret|password|passwd|token|credential|(access|account|private|api)[._-]?key", re.IGNORECASE
)
_SPARKS_OWN = re.compile(r"spark\.(?!hadoop\.|ssl\.|authenticate|.*Options)[\w.-]+")
_HARMLESS = re.compile(
    r"true|false|\d{1,5}(\.\d+)?[a-z]{0,2}|(org|com)(\.\w+)+|[a-z][\w+.-]*://[\w.-]+(:\d+)?/?",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)(?:[^\s'\"/@]*|[^\s'\"/@:]*:[^\s'\"@]*)@")
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*=[^\s'\"]*")
_COMMAND = re.compile(r"[a-z][a-z-]*|.+\.toml")
_SETTING = re.compile(r"[\w.-]+")
_hidden: set[str] = set()


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return public(super().format(record))


def configure(level: str | int = "INFO") -> None:
    """Send the log lines of `emberline.*` at `level` and above to standard error; calling it
    again changes the level.
    """
    logger = logging.getLogger("emberline")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Formatter())
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level)


def event(name: str, **values: Any) -> str:
    """One event as `name key=value ...`; values are quoted where they need it and never shown
    where the key names a secret.
    """
    return " ".join([name, *(f"{key}={_format(key, value)}" for key, value in values.items())])


def is_secret(key: str) -> bool:
    """Whether a setting of this name holds something that must not be shown."""
    return _SECRET.search(key) is not None


def may_be_secret(name: str, value: str) -> bool:
    """Whether a setting of Spark may hold a secret: all may but switches, numbers, classes, and
    settings known as Spark's own.
    """
    is_known = _SPARKS_OWN.fullmatch(name) is not None and not is_secret(name)
    return not is_known and _HARMLESS.fullmatch(value) is None


def hide(values: Iterable[str]) -> None:
    """Have `public` leave these values out from now on, and the words that they consist of."""
    _hidden.update(word for value in values for word in (value, *value.split()) if len(word) > 3)


def public(text: object) -> str:
    """A text for people, logs and files that others read: URIs without user and query, and no
    value that is to be hidden.
    """
    shown = str(text)
    for value in sorted(_hidden, key=len, reverse=True):
        shown = shown.replace(value, "***")
    return _QUERY.sub(r"\1?***", _USER.sub("***@", shown))


def public_command(arguments: Sequence[str]) -> str:
    """A command line as others may see it: program, command, pipeline file and the names of
    options and settings, no values.
    """
    program, *words = arguments or [""]
    shown = [
        word if _COMMAND.fullmatch(word) else "..."
        for word in words[:1]
        if not word.startswith("-")
    ]
    shown += [_public_word(word) for word in words[len(shown) :]]
    return " ".join([PurePath(program).name, *shown])


def _public_word(word: str) -> str:
    name, equals, rest = word.partition("=")
    if word.startswith("-"):
        return f"{name}={_public_word(rest)}" if equals else word
    if equals:
        return f"{name}=..." if _SETTING.fullmatch(name) else "..."
    return public(word) if word.endswith(".toml") else "..."


def one_line(value: object) -> str:
    """A value from data as one line of text: control and invisible characters escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value)
    )


def _format(key: str, value: Any) -> str:
    if is_secret(key):
        return "***"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
