"""A team of processes that work on one request together: watched, ended together when one fails,
and started again.

What ends a member (a signal, a machine, a network) is told apart from what its end does to the
others, whose collective operations fail, hang or abort: the report names the one that failed first,
its host, and what to do.
"""

import logging
import queue
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from emberline.errors import ConfigError, EmberlineError, Preempted, WorkerError
from emberline.launch.child import Inbox
from emberline.launch.messages import (
    Beat,
    Done,
    Ended,
    Failed,
    Line,
    Lost,
    Message,
    PortTaken,
    Progress,
    Request,
    Stop,
)
from emberline.launch.team import CHIEF, Launcher, Limits, Member, Work
from emberline.logs import event

log = logging.getLogger(__name__)
_TICK = 0.2  # seconds
_SUSPECT_SECONDS = (
    # after a sign that is another failure's consequence, until the end of the one that caused it is
    # known, too
    3.0
)
_ORDER_SECONDS = 0.5  # by which the news of two ends may overtake each other
# without a beat, which comes every second, a member is the cause of what others suffer
_QUIET_SECONDS = 3.5
# between two ticks: this process itself was stopped, and knows nothing of the others
_SLEPT_SECONDS = 5.0
_MAX_COLLISIONS = 5
_LAST_LINES = 3


class _FailedError(Exception):
    """An attempt has come to nothing; the message says by whom and why."""


class _PortTakenError(Exception):
    """Another program was faster."""


def supervise(launcher: Launcher, work: Work, limits: Limits) -> dict[str, Any]:
    """The chief's answer to the request, started again up to `limits.restarts` times.

    Raises the EmberlineError that a member raised, Preempted where the team was asked to stop,
    WorkerError where it failed too often.
    """
    failures: list[str] = []
    collisions = 0
    while not work.stopping():
        try:
            return _Attempt(_start(launcher, failures), launcher.inbox, work, limits).answer()
        except _PortTakenError as error:
            collisions += 1
            if collisions > _MAX_COLLISIONS:
                raise WorkerError(f"{work.name}: {error}, {collisions} times in a row") from None
            log.warning(event("port_taken", stage=work.name, because=error))
        except _FailedError as error:
            if work.stopping():
                raise Preempted(
                    f"{work.name} was asked to stop, but {error}; run it again: {_CONTINUES}"
                ) from None
            failures.append(str(error))
            if len(failures) > limits.restarts:
                raise WorkerError(
                    f"{work.name}: given up after {limits.restarts} restarts: {_in_turn(failures)}"
                ) from None
            log.warning(
                event(
                    "team_failed",
                    stage=work.name,
                    because=error,
                    restart=len(failures),
                    of=limits.restarts,
                )
            )
        launcher.kill()
        work.before_restart()
    raise Preempted(f"{work.name} was asked to stop; run it again: {_CONTINUES}")


_CONTINUES = "it goes on from its last checkpoint"


def _start(launcher: Launcher, failures: list[str]) -> Sequence[Member]:
    """A team; where there was room for one and is none any more, it is the failures, not the
    configuration, that are told.
    """
    try:
        return launcher.start()
    except ConfigError as error:
        if not failures:
            raise
        raise WorkerError(f"{_in_turn(failures)}; it cannot start again: {error}") from None


def _in_turn(failures: list[str]) -> str:
    """What happened each time, repetitions as such."""
    if len(set(failures)) == 1:
        return f"{failures[0]}" + (
            f" (each of the {len(failures)} times)" if len(failures) > 1 else ""
        )
    return "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, start=1))


@dataclass
class _Seen:
    """What is known of a member. `spoke` and `moved`: when it said something, and something new."""

    spoke: float
    moved: float
    is_up: bool = False
    place: tuple[str, int] = ("", 0)
    ended: str | None = None
    memory: str = ""
    lost: str | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))

    def at(self, place: tuple[str, int]) -> None:
        """Where it says that it is."""
        if place != self.place:
            self.place, self.moved = place, self.spoke


class _Attempt:
    """One team's work, from its start to the chief's answer or the first failure."""

    def __init__(self, members: Sequence[Member], inbox: Inbox, work: Work, limits: Limits) -> None:
        self._inbox, self._work, self._limits = inbox, work, limits
        self._began = self._ticked = time.monotonic()
        self._seen = {member: _Seen(self._began, self._began) for member in members}
        self._answer: dict[str, Any] | None = None
        self._saved_by: float | None = None  # when those who were asked to stop have to have saved
        self._gone: list[Member] = []  # in the order in which they ended
        self._suspected: float | None = None  # when the first sign of a failure came
        for member in members:
            member.send(Request(work.request))

    def answer(self) -> dict[str, Any]:
        while self._answer is None:
            self._take_messages()
            now = time.monotonic()
            self._stop_if_asked(now)
            self._judge(now)
        return self._answer

    def _take_messages(self) -> None:
        """All that have arrived, waiting a moment for the first."""
        wait = _TICK
        while self._answer is None:
            try:
                member, message = self._inbox.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.0001
            if member is None and isinstance(message, Failed):  # the launcher itself
                raise message.to_error()
            self._take(member, message)

    def _take(self, member: Member, message: Message) -> None:
        seen = self._seen.get(member)
        if seen is None:  # of a team that has been ended
            return
        seen.spoke = time.monotonic()
        seen.is_up = seen.is_up or not isinstance(message, Line)
        match message:
            case Beat(phase, step):
                seen.at((phase, step))
            case Line(text):
                seen.lines.append(text)
                with suppress(BrokenPipeError):  # who read it is gone; the team goes on, or saves
                    print(f"[{_name(member)}] {text}", file=sys.stderr, flush=True)
            case Failed():
                self._take_error(member, message.to_error())
            case PortTaken(why):
                raise _PortTakenError(f"{_name(member)}: {why}")
            case Lost(why):
                seen.lost = why
            case Ended(how, memory):
                seen.ended, seen.memory = how, memory
                self._gone.append(member)
            case Progress(text) if member.rank == CHIEF:
                self._work.on_progress(text)
            case Done(answer) if member.rank == CHIEF:
                self._answer = answer

    def _take_error(self, member: Member, error: EmberlineError) -> None:
        if member.rank == CHIEF:
            raise error
        if not isinstance(error, Preempted):
            raise type(error)(f"{error} ({_name(member)})")
        if self._saved_by is None:  # the chief is about to have saved, too
            self._saved_by = time.monotonic() + self._limits.stop

    def _stop_if_asked(self, now: float) -> None:
        if self._work.stopping() and self._saved_by is None:
            if not any(seen.place[0] for seen in self._seen.values()):
                raise Preempted(
                    f"{self._work.name} was asked to stop before it did anything; run it again:"
                    f" {_CONTINUES}"
                )
            self._saved_by = now + self._limits.stop
            for member in self._seen:
                member.send(Stop())
        if self._saved_by is not None and now > self._saved_by:
            raise Preempted(
                f"{self._work.name} was asked to stop and did not save within {self._limits.stop:g}"
                f" s; run it again: {_CONTINUES}"
            )

    def _judge(self, now: float) -> None:
        """Raises _FailedError where a member has failed."""
        if now - self._ticked > _SLEPT_SECONDS:
            for seen in self._seen.values():
                seen.spoke = seen.moved = now
        self._ticked = now
        self._look_for_the_failed(now)
        for member, seen in self._seen.items():
            if not seen.is_up and now - self._began > self._limits.start:
                raise _FailedError(
                    f"{_name(member)} has not started within {self._limits.start:g} s: "
                    "see whether its machine is there and has room, or"
                    f" {self._limits.remedies.late}"
                )
            if seen.is_up and now - seen.spoke > self._limits.silence:
                raise _FailedError(self._silence(member, now - seen.spoke))
        self._look_for_a_stall(now)

    def _look_for_the_failed(self, now: float) -> None:
        """A sign of a failure may be another one's consequence: wait a moment, then name the
        most likely cause.
        """
        lost = [member for member, seen in self._seen.items() if seen.lost and not seen.ended]
        if not self._gone and not lost:
            return
        self._suspected = self._suspected or now
        enough = _ORDER_SECONDS if self._ended_by_themselves() else _SUSPECT_SECONDS
        if len(self._gone) + len(lost) < len(self._seen) and now - self._suspected < enough:
            return
        raise _FailedError(self._cause(lost, now))

    def _cause(self, lost: list[Member], now: float) -> str:
        """Who ended by himself comes before who was aborted (by TensorFlow, which lost a peer),
        before who is silent.
        """
        quiet = [
            member
            for member, seen in self._seen.items()
            if now - seen.spoke > _QUIET_SECONDS and not seen.ended
        ]
        by_themselves = self._ended_by_themselves()
        if by_themselves or (self._gone and not quiet):
            member = (by_themselves or self._gone)[0]
            return self._ending(member, self._seen[member])
        if quiet:
            return self._silence(quiet[0], now - self._seen[quiet[0]].spoke)
        return (
            f"{_name(lost[0])} lost the others: {self._seen[lost[0]].lost}; look at the network"
            " between their machines"
        )

    def _ended_by_themselves(self) -> list[Member]:
        """Those that nothing has aborted, in the order in which they ended."""
        return [
            member for member in self._gone if self._seen[member].ended != "was killed by signal 6"
        ]

    def _look_for_a_stall(self, now: float) -> None:
        """Steps are taken together: who is at another place than most of them is what the
        others wait for.
        """
        seen = self._seen.values()
        if (
            not any(one.place[0] for one in seen)
            or now - max(one.moved for one in seen) <= self._limits.stall
        ):
            return
        places = [one.place for one in seen]
        member, late = min(
            self._seen.items(), key=lambda item: (places.count(item[1].place), item[1].place[1])
        )
        others = (
            f", the others at {max(places, key=places.count)[0]!r}" if len(set(places)) > 1 else ""
        )
        raise _FailedError(
            f"no step was finished for {self._limits.stall:g} s: {_name(member)} is at"
            f" {late.place[0]!r} of step {late.place[1]}{others}; look at what it waits for, or"
            f" {self._limits.remedies.stalled}"
        )

    def _silence(self, member: Member, seconds: float) -> str:
        return (
            f"{_name(member)} has been silent for {seconds:.0f} s: it is stopped, swapping or cut"
            f" off; look at its machine, or {self._limits.remedies.silent}"
        )

    def _ending(self, member: Member, seen: _Seen) -> str:
        if seen.ended == "was killed by signal 9":  # by nobody whom its own lines could name
            return (
                f"{_name(member)} {seen.ended} (often for lack of memory: {seen.memory}; give it"
                f" more, or {self._limits.remedies.killed})"
            )
        last = f"; its last lines: {' | '.join(seen.lines)}" if seen.lines else ""
        return f"{_name(member)} {seen.ended}{last}"


def _name(member: Member) -> str:
    return f"rank {member.rank} on {member.host}"
