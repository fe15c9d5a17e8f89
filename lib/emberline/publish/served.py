"""What of a root is served: tables that a serving system reads, none that another one of the same
model outdates, and none of pairs of people where privacy asks for more than two.
"""

from collections.abc import Sequence

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, ManifestError
from emberline.models import ALS, EXPORTED, LIST_TABLES, blended, outdating, refitted

SERVED = (
    "recommendations",
    "popular_items",
    "recommendable_items",
    "reasons",
    "users",
    "items",
    "user_attributes",
    "item_attributes",
    "user_factors",
    "item_factors",
    "user_rating_factors",
    "item_rating_factors",
    "content_factors",
    "content_user_factors",
    "predicted_factors",
    "predicted_classes",
    EXPORTED,
    "noisy_item_counts",
    "noisy_class_counts",
    "noisy_segments",
    "noisy_segment_counts",
    "user_neighbors",
    "item_neighbors",
    "steady_item_neighbors",
    *map(blended, ALS.lists),
    *map(refitted, LIST_TABLES),
)
STEADY = "steady_item_neighbors"  # which change only where enough people have changed them
STEADIED = ("item_neighbors", refitted("item_neighbors"))
PAIRS_OF_USERS = ("user_neighbors", refitted("user_neighbors"))
_OF_A_PAIR = 2  # users stand behind a pair of users


def open_served(root: Location, tables: Sequence[str]) -> list[Dataset]:
    """Those tables, or all that there are. Raises ConfigError for one that is not served,
    ManifestError where there is none.
    """
    unknown = [name for name in tables if name not in SERVED]
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)} cannot be published (what can: {', '.join(SERVED)})"
        )
    few = [name for name in tables if name in PAIRS_OF_USERS and not _is_served(root, name)]
    if few and manifests.exists(root, few[0]):
        raise ConfigError(
            f"{few[0]} cannot be published: behind a pair of users there are two, and"
            f" privacy.min_users asks for {_least_users(root, few[0])}; leave it out of the tables"
        )
    names = tables or [name for name in SERVED if _is_served(root, name)]
    if not names:
        raise ManifestError(
            f"{root} has no table to publish; run a pipeline there, or give the root of one"
        )
    return [manifests.load(root, name) for name in names]


def _is_served(root: Location, name: str) -> bool:
    """Whether a table is there, no other of the same model that has seen more, and enough people
    stand behind its rows.
    """
    return (
        manifests.exists(root, name)
        and not (name in STEADIED and manifests.exists(root, STEADY))
        and not any(manifests.exists(root, better) for better in outdating(name))
        and not (name in PAIRS_OF_USERS and _least_users(root, name) > _OF_A_PAIR)
    )


def _least_users(root: Location, name: str) -> int:
    """How many users have to stand behind what is published of a table."""
    made = manifests.load(root, name).manifest.produced_by
    return int(made.privacy.get("min_users", 1))
