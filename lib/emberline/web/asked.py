"""What a request asks for: numbers and events that are what they should be, or the reason why
not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emberline.datasets import typed_json
from emberline.errors import ConfigError

MOST = 1_000  # items of one answer
MOST_EVENTS = 10_000
LARGEST = 1 << 20  # bytes of a body
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Asked:
    """How many items, and whether with reasons."""

    k: int = 10
    why: bool = False

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "Asked":
        """Of a URL's `?k=5&why=true`. Raises ConfigError for anything else."""
        _refuse_unknown(query, ("k", "why"))
        why = _SWITCH.get(query.get("why", "false"))
        if why is None:
            raise ConfigError(f"why is {query['why']!r:.60}: expected true or false")
        return cls(_count(query.get("k", "10")), why)


def events_of(content: bytes) -> tuple[Asked, list[Any]]:
    """Of a body `{"events": ["i1", ["i2", 3]], "k": 5, "why": true}`. Raises ConfigError for
    anything else.
    """
    try:
        body = typed_json.parse(content)
    except ValueError as error:
        raise ConfigError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("events"), list):
        raise ConfigError('expected a body such as {"events": ["an id", ["another", 2.5]]}')
    _refuse_unknown(body, ("events", "k", "why"))
    events, why = body["events"], body.get("why", False)
    if len(events) > MOST_EVENTS:
        raise ConfigError(f"{len(events):,} events are too many; give at most {MOST_EVENTS:,}")
    if not isinstance(why, bool):
        raise ConfigError(f"why is {why!r:.60}: expected true or false")
    return Asked(_count(body.get("k", 10)), why), [
        tuple(event) if isinstance(event, list) else event for event in events
    ]


def _count(given: Any) -> int:
    text = str(given) if not isinstance(given, bool) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 0 < number <= MOST:
        raise ConfigError(f"k is {given!r:.60}: expected a whole number from 1 to {MOST:,}")
    return number


def _refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise ConfigError(f"{unknown[0]!r:.60} is not known here; what is: {', '.join(known)}")
