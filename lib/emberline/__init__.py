"""From a log of who liked what to recommendations, with the proof of how good they are:
docs/python.md shows how to use it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emberline.api import Table, open, plan, recommend, run
    from emberline.errors import EmberlineError
    from emberline.serving.light import LightModel
    from emberline.serving.recommender import Recommender

    __version__: str

__all__ = [
    "EmberlineError",
    "LightModel",
    "Recommender",
    "Table",
    "__version__",
    "open",
    "plan",
    "recommend",
    "run",
]
_HOMES = {
    "EmberlineError": "emberline.errors",
    "LightModel": "emberline.serving.light",
    "Recommender": "emberline.serving.recommender",
}


def __getattr__(name: str) -> Any:
    """What `__all__` names, imported when it is first used: processes that need nothing of it
    pay nothing for it.
    """
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version(__name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(_HOMES.get(name, "emberline.api"))
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
