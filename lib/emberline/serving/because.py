"""Reasons in words."""

from collections.abc import Callable, Sequence

from emberline import models
from emberline.cf.reason_kinds import NEIGHBOR, POPULAR, SEGMENT
from emberline.serving.lookup import Reason

Printed = Callable[[str], str]
_KINDS = {
    NEIGHBOR: "people of similar taste chose it",
    SEGMENT: "many of this person's group chose it",
    POPULAR: "many chose it",
}
_MODELS = {
    models.POPULAR.name: _KINDS[POPULAR],
    models.POPULAR_IN_SEGMENT.name: _KINDS[SEGMENT],
    models.CONTENT.name: "by what is said of it",
    models.CONTENT_USER.name: "by what is known of this person",
}
_ATTRIBUTES = 2  # that are named


def because(reasons: Sequence[Reason], model: str, printed: Printed = str) -> str:
    """Why an item that a model has listed is there, the strongest reason first; `printed` makes
    of a text of somebody's what can be shown.
    """
    past = [printed(reason.past.shown) for reason in reasons if reason.past is not None]
    said = [_said(reason, printed) for reason in reasons if reason.attribute][:_ATTRIBUTES]
    whose = "this person's" if model == models.CONTENT_USER.name else "its"
    parts = [f"because of {_listed(past)}"] if past else []
    parts += [f"for {whose} {_listed(said)}"] if said else []
    if parts:
        return ", and ".join(parts)
    kinds = [_KINDS[reason.kind] for reason in reasons if reason.kind in _KINDS]
    found = kinds[0] if kinds else _MODELS.get(model)
    return found or "by all that this person chose: nothing stands out"


def _said(reason: Reason, printed: Printed) -> str:
    """An attribute, and its word where one stands out."""
    name = printed((reason.attribute or "").replace(" x ", " and "))
    return f"{name} ({printed(reason.word)})" if reason.word else name


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
