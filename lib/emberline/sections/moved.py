"""Settings that stand elsewhere since the sections were cut anew, and what to write instead."""

from collections.abc import Iterator
from typing import Any

_OPTIMIZER = (
    "learning_rate",
    "schedule",
    "warmup_steps",
    "momentum",
    "weight_decay",
    "clip_norm",
)
_INPUT = ("global_batch_size", "streams", "pool", "flip", "shift", "verify", "reader_threads")
_TEAM = (
    "workers",
    "replicas",
    "launcher",
    "max_restarts",
    "start_timeout",
    "silence_timeout",
    "stall_timeout",
    "stop_timeout",
)
_HOLDOUT = ("by", "fraction", "after", "last_days", "n", "cold_items")

MOVED: dict[str, str] = {
    "cnn.optimizer": "cnn.optimizer.name",
    **{f"cnn.{name}": f"cnn.optimizer.{name}" for name in _OPTIMIZER},
    **{f"cnn.{name}": f"cnn.input.{name}" for name in _INPUT},
    **{f"cnn.{name}": f"cnn.team.{name}" for name in _TEAM},
    **{f"ratings.holdout.{name}": f"split.{name}" for name in _HOLDOUT},
    "ratings.seed": "split.seed",
    "als.validation_users": "split.validation.users",
}


def refusals(content: Any) -> Iterator[str]:
    """What to write instead of each setting of the content that stands elsewhere now."""
    for old, new in MOVED.items():
        found = _at(content, old)
        # where the old name is a section's now, only a value is of before
        if found is not None and not (new.startswith(f"{old}.") and isinstance(found, dict)):
            section, _, key = new.rpartition(".")
            yield f"{old} is now {new}: write {key} in a section [{section}]"


def _at(content: Any, path: str) -> Any:
    for name in path.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content
