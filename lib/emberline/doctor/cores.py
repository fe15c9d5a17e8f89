"""Cores, and how many of them a run may use."""

import re

from emberline.doctor.check import Check, ok, warning
from emberline.sections.spark import SparkConfig

_LOCAL = re.compile(r"local\[(\d+)")


def check_cores(config: SparkConfig, usable: int, in_machine: int) -> Check:
    """What Spark and its settings make of the cores."""
    asked = _LOCAL.match(config.master)
    if asked and int(asked[1]) > usable:
        found = f"spark.master = {config.master}, but a run may use {usable} of {in_machine} cores"
        return warning("cores", found, "use local[*]")
    if usable < in_machine and config.shuffle_partitions is None:
        found = f"a run may use {usable} of {in_machine}, but shuffles are cut for {in_machine}"
        return warning("cores", found, f"set spark.shuffle_partitions to {4 * usable}")
    return ok(
        "cores", f"{usable} of {in_machine} may be used" if usable < in_machine else str(usable)
    )
