"""One line of the doctor's table."""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and, unless it is ok, what to do.

    An error is what a run will fail with; a warning is what will be slow or surprising.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def softened(check: Check, when: str) -> Check:
    """An error as a warning, of what a run will fail with only `when`."""
    if check.state != "error":
        return check
    return replace(check, state="warning", remedy=f"only {when}: {check.remedy}")


def reason(refusal: Exception) -> str:
    """Why the system refused, in its own words."""
    return getattr(refusal, "strerror", None) or str(refusal)


def ok(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Check:
    """A run will be slow or surprising."""
    return Check(name, "warning", found, remedy)


def error(name: str, found: str, remedy: str) -> Check:
    """A run will fail."""
    return Check(name, "error", found, remedy)
