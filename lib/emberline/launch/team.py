"""A team: its members, who starts and ends them, what it is asked for, and how long it may take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emberline.launch.child import Inbox
from emberline.launch.messages import Message

CHIEF = 0


class Member(Protocol):
    """A process of the team, on this machine or another. What it says comes by the inbox, its
    end as Ended.
    """

    rank: int
    host: str

    def send(self, message: Message) -> None: ...


class Launcher(Protocol):
    """Starts teams and ends them. (None, Failed) in the inbox is the launcher's own."""

    inbox: Inbox

    def start(self) -> Sequence[Member]:
        """A team that is ready for a request; after `kill` one of new processes on new ports."""

    def kill(self) -> None:
        """Leave no process behind."""


@dataclass(frozen=True)
class Remedies:
    """What to do where a member starts too late, is silent, takes no step, or is killed: the ends
    of sentences, said by who set the limits.
    """

    late: str = "give it more time"
    silent: str = "give it more time"
    stalled: str = "give it more time"
    killed: str = "have it hold less"


@dataclass(frozen=True)
class Limits:
    """Seconds that a member may take to start, be silent, take no step, and save when it is
    asked to stop; and the restarts.
    """

    start: float = 45.0
    silence: float = 40.0
    stall: float = 600.0
    stop: float = 60.0
    restarts: int = 3
    remedies: Remedies = Remedies()


@dataclass(frozen=True)
class Work:
    """What a team is asked for, and who is interested: `on_progress` gets the chief's
    lines, `before_restart` is called before each restart.
    """

    name: str
    request: dict[str, Any]
    on_progress: Callable[[str], None] = lambda text: None
    stopping: Callable[[], bool] = lambda: False
    before_restart: Callable[[], None] = lambda: None
