"""What processes say to each other: lines of JSON, each a message of one kind.

    here -> process      Request, Stop
    process -> here      Hello, Beat, Progress, Done, Failed, PortTaken, Lost
    of a process         Line, Ended
    agent -> driver      Introduction, then all that its process says, and what is said of it
    driver -> agent      Begin, then all that is for its process

Hello, Introduction and Begin, which come first, say which version of all this they speak.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, get_type_hints

from emberline.errors import EmberlineError, WorkerError

VERSION = 1
_SHOWN = 60
_NAMES = {int: "a whole number", str: "a text", dict: "an object"}


@dataclass(frozen=True)
class Message:
    """One line. `kind` is the name of its class."""

    def to_json(self) -> dict[str, Any]:
        """What `message_of` reads."""
        return {"kind": type(self).__name__, **asdict(self)}

    def to_line(self) -> bytes:
        """The message as it goes through a pipe or a connection."""
        return json.dumps(self.to_json()).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> Self:
        """As `message_of`, where no other kind is expected."""
        message = message_of(line)
        if not isinstance(message, cls):
            raise _refused(f"expected {cls.__name__}, found {type(message).__name__}")
        return message

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Raises WorkerError, which names the field, for what is no such message."""
        hints = get_type_hints(cls)
        for name in values.keys() - hints.keys():
            raise _refused(f"{cls.__name__}.{name} is not known")
        for each in fields(cls):
            where = f"{cls.__name__}.{each.name}"
            if each.name not in values:
                raise _refused(f"{where} is missing")
            _check(hints[each.name], values[each.name], where)
        return cls(**values)


@dataclass(frozen=True)
class Greeting(Message):
    """One that comes first."""

    version: int = field(default=VERSION, kw_only=True)

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise _refused(
                f"{type(self).__name__}.version: expected {VERSION}, found {self.version}"
            )


@dataclass(frozen=True)
class Request(Message):
    """Work for a process; what it is, its module and whoever asks agree on."""

    content: dict[str, Any]


@dataclass(frozen=True)
class Stop(Message):
    """Save and end."""


@dataclass(frozen=True)
class Hello(Greeting):
    """A process is there."""

    pid: int
    host: str


@dataclass(frozen=True)
class Beat(Message):
    """A process lives, and what it is at."""

    phase: str
    step: int


@dataclass(frozen=True)
class Progress(Message):
    """A line for people."""

    text: str


@dataclass(frozen=True)
class Done(Message):
    """A request was answered."""

    answer: dict[str, Any]


@dataclass(frozen=True)
class Failed(Message):
    """A request came to an error of ours: the name of its class, and what it says."""

    error: str
    text: str

    @classmethod
    def of(cls, error: EmberlineError) -> Self:
        return cls(type(error).__name__, str(error))

    def to_error(self) -> EmberlineError:
        """The error that this was made of."""
        kinds = {kind.__name__: kind for kind in _below(EmberlineError)}
        if self.error not in kinds:
            raise _refused(f"Failed.error: {_shown(self.error)} is not known")
        return kinds[self.error](self.text)


@dataclass(frozen=True)
class PortTaken(Message):
    """Another program was faster: to start again may help."""

    why: str


@dataclass(frozen=True)
class Lost(Message):
    """A process lost the others of its team."""

    why: str


@dataclass(frozen=True)
class Line(Message):
    """What a process wrote to standard error."""

    text: str


@dataclass(frozen=True)
class Ended(Message):
    """A process has ended, how, and, where it was killed, which memory it had."""

    how: str
    memory: str = ""


@dataclass(frozen=True)
class Introduction(Greeting):
    """Who and where an agent is."""

    token: str
    rank: int
    host: str
    address: str


@dataclass(frozen=True)
class Begin(Greeting):
    """The environment of the process that an agent is to start; None takes a variable away."""

    environment: dict[str, str | None]


KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        *(Request, Stop, Hello, Beat, Progress, Done, Failed, PortTaken, Lost, Line, Ended),
        *(Introduction, Begin),
    )
}


def message_of(line: bytes | str) -> Message:
    """The message in a line. Raises WorkerError for what is none, or none of ours."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise _refused(f"expected a line of JSON, found {_shown(line)}") from None
    if not isinstance(values, dict):
        raise _refused(f"expected an object, found {_shown(values)}")
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise _refused(f"kind: {_shown(kind)} is not known")
    return KINDS[kind].from_json(values)


def _check(kind: Any, value: Any, where: str) -> None:
    plain = dict if getattr(kind, "__origin__", None) is dict else kind
    if type(value) is not plain:
        raise _refused(f"{where}: expected {_NAMES[plain]}, found {_shown(value)}")
    if kind == dict[str, str | None]:
        for name, text in value.items():
            if text is not None:
                _check(str, text, f"{where}.{name}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _refused(why: str) -> WorkerError:
    return WorkerError(
        f"a process said what is not understood here: {why}; is the same Emberline on all machines?"
    )


def _below(kind: type[EmberlineError]) -> Iterator[type[EmberlineError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _below(below)
