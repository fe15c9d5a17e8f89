"""Reasons in words."""

from collections.abc import Callable, Sequence

from emberline.models import POPULAR
from emberline.serving.lookup import Reason

_KINDS = {
    "neighbor": "people of similar taste chose it",
    "attribute": "by what is known of this person",
    "popular": "many chose it",
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
    if model == POPULAR.name:
        return _KINDS["popular"]
    return "by all that this person chose: nothing stands out"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
