"""What some stages need to be installed besides the package itself."""

from collections.abc import Sequence

from emberline import extras
from emberline.doctor.check import Check, error, ok
from emberline.sections.config import Config
from emberline.sections.stage import Stage


def check_extras(config: Config, stages: Sequence[Stage]) -> list[Check]:
    """A line for each extra that some of the stages need, but for TensorFlow, which is looked at
    more closely.
    """
    needed = {stage.extra(config): stage.name for stage in stages}
    return [
        ok(f"extra {extra.name}", "installed")
        if extra.is_here()
        else error(
            f"extra {extra.name}",
            f"{name} needs {extra.brings}, which is not installed",
            extra.remedy,
        )
        for extra, name in needed.items()
        if extra not in (None, extras.TRAIN)
    ]
