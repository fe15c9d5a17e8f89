"""The section [spark]: where Spark runs."""

import re
from typing import Literal

from pydantic import field_validator

from emberline.sections.base import Positive, Section, where

_SHIFTS = {"k": 10, "m": 20, "g": 30, "t": 40}


class SparkConfig(Section):
    """Where Spark runs when `emberline run` starts it; under spark-submit the cluster's own
    settings come first.
    """

    master: str = where(
        "local[*]",
        description="Where Spark runs: local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT.",
    )
    engine: Literal["auto", "spark", "here"] = where(
        "auto",
        description="What works on blocks of ratings and factors: Spark, or this machine's cores "
        'without it ("here"); "auto" is here where master is local and driver_memory '
        "is enough.",
    )
    driver_memory: str = where(
        "2g",
        pattern=r"^\d+[kmgt]$",
        description="The memory of Spark's driver, which in local mode does all the work, and of "
        "what works here instead; raise it when a run ends for lack of memory.",
    )
    shuffle_partitions: Positive | None = where(
        None,
        description="Into how many partitions Spark cuts what it sorts and joins; none lets it "
        "choose by the number of cores.",
    )
    conf: dict[str, str] = where(
        {}, description="Any other settings of Spark, by their own names, as texts."
    )

    @property
    def is_local(self) -> bool:
        """Whether Spark runs on this machine alone."""
        return self.master == "local" or self.master.startswith("local[")

    @property
    def cores(self) -> int | None:
        """How many of this machine's cores a local Spark uses; None for all."""
        told = re.match(r"local(?:\[(\d+)|$)", self.master)
        return int(told[1] or 1) if told else None

    @property
    def memory(self) -> int:
        """`driver_memory` in bytes."""
        return int(self.driver_memory[:-1]) << _SHIFTS[self.driver_memory[-1]]

    @field_validator("master")
    @classmethod
    def _is_master(cls, master: str) -> str:
        if not re.match(r"local(\[|$)|local-cluster\[|yarn$|spark://|k8s://", master):
            raise ValueError(
                f"expected local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT, found {master!r}"
            )
        return master
