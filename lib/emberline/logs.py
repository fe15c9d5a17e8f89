"""Log lines as `time level logger event key=value ...`, configured once per process."""

import logging
import re
import sys
import time
from typing import Any

_PLAIN = re.compile(r"[\w.:/@%+*,-]+")
_SECRET = re.compile(r"secret|password|passwd|token|credential|(access|account|private|api)[._-]?key", re.IGNORECASE)


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")


def configure(level: str | int = "INFO") -> None:
    """Send the log lines of `emberline.*` at `level` and above to standard error; calling it again changes the level."""
    logger = logging.getLogger("emberline")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Formatter())
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level)


def event(name: str, **values: Any) -> str:
    """One event as `name key=value ...`; values are quoted where they need it and never shown where the key names a secret."""
    return " ".join([name, *(f"{key}={_format(key, value)}" for key, value in values.items())])


def is_secret(key: str) -> bool:
    """Whether a setting of this name holds something that must not be shown."""
    return _SECRET.search(key) is not None


def without_secret(setting: str) -> str:
    """A setting such as `spark.conf.x=y`, with its value hidden where its name says that it is a secret."""
    name, equals, _ = setting.partition("=")
    return f"{name}=***" if equals and is_secret(name) else setting


def _format(key: str, value: Any) -> str:
    if is_secret(key):
        return "***"
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'
