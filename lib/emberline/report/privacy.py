"""What is not published since too few people stand behind it, and what noise has cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emberline import stages
from emberline.datasets.kept_back import Budget, NoisyCounts, TooFewUsers
from emberline.errors import EmberlineError
from emberline.report.people import Person
from emberline.report.text import percent
from emberline.runs.outputs import TOO_FEW
from emberline.runs.roots import Roots
from emberline.sections.config import Config

_WHAT = {
    "item_neighbors": "pairs of neighbours",
    "refitted_item_neighbors": "pairs of neighbours",
    "steady_item_neighbors": "changes of pairs of neighbours",
    "popular_items": "items",
    "reasons": "items of people's pasts",
}


@dataclass(frozen=True)
class LeftOut:
    """What of a table (or of this page) is left out, in words, of how much, and behind which so
    many people would have to stand.
    """

    place: str
    what: str
    left_out: int
    candidates: int
    share: str
    min_users: int


@dataclass(frozen=True)
class Noisy:
    """How noise was drawn for a table."""

    table: str
    facts: NoisyCounts


@dataclass(frozen=True)
class Privacy:
    """The section; `spent` is None without noise."""

    left_out: list[LeftOut]
    noisy: list[Noisy]
    spent: Budget | None


def privacy(roots: Roots, config: Config, people: Sequence[Person]) -> Privacy | None:
    """Of all that the pipeline has written; None where it keeps nothing back."""
    if config.privacy is None:
        return None
    infos = dict(_infos(roots, config))
    left_out = [
        left_out_of(name, TooFewUsers.from_json(info))
        for name, info in infos.items()
        if TooFewUsers.names()[0] in info
    ]
    noisy = [
        Noisy(name, NoisyCounts.from_json(info))
        for name, info in infos.items()
        if NoisyCounts.names()[0] in info
    ]
    spent = Budget.from_json(infos[noisy[0].table]) if noisy else None
    hidden = _hidden(people, config.min_users)
    found = [*left_out, *([hidden] if hidden else [])]
    return Privacy(found, noisy, spent) if found or noisy else None


def _infos(roots: Roots, config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the manifests of the pipeline's datasets say; nothing of one that cannot be read, which
    its readers say.
    """
    for stage in stages.in_pipeline(config):
        for name in stage.writes(config):
            try:
                found = roots.load(name)
            except EmberlineError:
                continue
            if found is not None:
                yield name, found.manifest.info


def left_out_of(name: str, told: TooFewUsers) -> LeftOut:
    """What is said of a table."""
    share = percent(told.left_out, told.candidates)
    what = _WHAT.get(name, "rows")
    return LeftOut(name, what, told.left_out, told.candidates, share, told.min_users)


def _hidden(people: Sequence[Person], min_users: int) -> LeftOut | None:
    """Of the places of the people on the page, those of which it is not said what is there."""
    places = [line.item for person in people for line in person.history]
    places += [line.item for person in people for line in person.recommendations]
    places += [line.item for person in people for line in person.explained]
    if min_users == 1 or not places:
        return None
    hidden = sum(item.is_hidden for item in places)
    share = percent(hidden, len(places))
    return LeftOut("this page", "titles", hidden, len(places), share, min_users)


def sentences(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The same for a terminal, of what statuses say."""
    for key, told in metrics.items():
        if key.endswith(TOO_FEW):
            one = left_out_of(key.removesuffix(TOO_FEW), TooFewUsers.from_json(told))
            yield (
                f"Kept back of {one.place}: {one.left_out:,} of {one.candidates:,} {one.what},"
                f" behind which there are fewer than {one.min_users} people"
            )
    if "noise" in metrics:
        spent = Budget.from_json(metrics["noise"])
        yield (
            f"Noise: of the budget, epsilon {spent.budget:g}, {spent.spent_epsilon:.4g} is spent,"
            f" with delta {spent.spent_delta:.2g}, by {spent.draws}"
            f" draw{'s' if spent.draws != 1 else ''} until {spent.drawn[:10]}"
        )
