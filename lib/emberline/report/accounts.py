"""The accounts of a pipeline: of the raw rows, pictures and sounds, how many were kept, merged,
rejected and filtered, and why.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from emberline.datasets.facts import Accounts
from emberline.datasets.manifest import Dataset
from emberline.report.text import percent

_TITLES = {
    "interactions": "Ratings",
    "item_attributes": "Item attributes",
    "user_attributes": "User attributes",
    "images": "Pictures",
    "sounds": "Sounds",
}
_OUTCOMES = {  # in the order of the page
    "ratings": "for training",
    "validation": "for choosing models",
    "holdout": "held out for measuring",
    "aside": "neither trained on nor measured by",
    "kept": "kept",
    "merged": "merged into another row",
    "filtered": "filtered: too few ratings",
    "rejected": "rejected",
    "forgotten": "of people who were forgotten",
}


@dataclass(frozen=True)
class Share:
    """A part of the rows read: its kind (a key of the accounts), what it is in words, how many,
    and a bar's width in percent.
    """

    kind: str
    label: str
    count: int
    percent: str
    width: float


@dataclass(frozen=True)
class Account:
    """One input: read = the sum of its outcomes; reasons say more about those that were not
    kept.
    """

    title: str
    read: int
    kept: int
    outcomes: list[Share]
    reasons: list[Share]


def accounts(inputs: Mapping[str, Dataset]) -> list[Account]:
    """One account for each input that says how many of its raw rows were kept."""
    known = {
        name: found
        for name in _TITLES
        if name in inputs and (found := inputs[name].manifest.given(Accounts))
    }
    return [
        _account(
            _TITLES[name],
            found.accounts | (_sets(inputs) if name == "interactions" else {}),
            found.reasons,
        )
        for name, found in known.items()
    ]


def _sets(inputs: Mapping[str, Dataset]) -> dict[str, int]:
    """Into what interactions were split; of validation only where there is any."""
    found = inputs["ratings"].manifest.given(Accounts) if "ratings" in inputs else None
    counts = found.accounts if found else {}
    return {name: count for name, count in counts.items() if count or name != "validation"}


def _account(title: str, counts: dict[str, int], reasons: dict[str, int]) -> Account:
    read = counts["read"]
    kinds = [
        kind
        for kind in _OUTCOMES
        if kind in counts and not (kind == "kept" and "ratings" in counts)
    ]
    outcomes = [
        Share(
            kind,
            _OUTCOMES[kind],
            counts[kind],
            percent(counts[kind], read),
            _width(counts[kind], read),
        )
        for kind in kinds
    ]
    most = max(reasons.values(), default=0)
    explained = [
        Share(_kind(reason), reason, count, percent(count, read), _width(count, most))
        for reason, count in reasons.items()
    ]
    return Account(title, read, counts["kept"], outcomes, explained)


def _kind(reason: str) -> str:
    """Reasons of ratings and attributes begin with their outcome; those of pictures are all for
    rejecting.
    """
    kind, colon, _ = reason.partition(": ")
    return kind if colon and kind in _OUTCOMES else "rejected"


def _width(count: int, whole: int) -> float:
    return round(100 * count / max(whole, 1), 2)
