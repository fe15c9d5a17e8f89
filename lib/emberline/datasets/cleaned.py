"""How ratings were cleaned, and what their values are, as the manifests of their tables say."""

from typing import Any

from emberline.datasets.facts import Cleaned
from emberline.datasets.manifest import Dataset


def cleaning_of(table: Dataset) -> dict[str, Any]:
    """The section [ratings] of the run that cleaned a table of ratings."""
    found = table.manifest.given(Cleaned)
    if found is None and table.name == "interactions":
        return table.manifest.produced_by.config
    return found.cleaning if found else {}


def has_ratings(table: Dataset) -> bool:
    """Whether values are ratings, which can be predicted, and not counts of events."""
    return bool(cleaning_of(table).get("value") == "rating")
