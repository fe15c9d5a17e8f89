"""Reasons in words."""

from collections.abc import Callable, Sequence

from emberline import models
from emberline.cf.reason_kinds import ATTRIBUTE, NEIGHBOR, POPULAR
from emberline.serving.lookup import Reason

_KINDS = {
    NEIGHBOR: "people of similar taste chose it",
    ATTRIBUTE: "by what is known of this person",
    POPULAR: "many chose it",
}


def because(reasons: Sequence[Reason], model: str, printed: Callable[[str], str] = str) -> str:
    """Why an item that a model has listed is there, the strongest reason first; `printed` makes
    of a title what can be shown.
    """
    past = [printed(reason.past.shown) for reason in reasons if reason.past is not None]
    if past:
        return "because of " + _listed(past)
    kinds = [_KINDS[reason.kind] for reason in reasons if reason.kind in _KINDS]
    if kinds:
        return kinds[0]
    if model == models.POPULAR.name:
        return _KINDS[POPULAR]
    return "by all that this person chose: nothing stands out"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
