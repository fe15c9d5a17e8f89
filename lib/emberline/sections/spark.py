"""The section [spark]: where Spark runs."""

import re

from pydantic import field_validator

from emberline.sections.base import Positive, Section, where


class SparkConfig(Section):
    """Where Spark runs when `emberline run` starts it; under spark-submit the cluster's own
    settings come first.
    """

    master: str = where(
        "local[*]",
        description="Where Spark runs: local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT.",
    )
    driver_memory: str = where(
        "2g",
        pattern=r"^\d+[kmgt]$",
        description="The memory of Spark's driver, which in local mode does all the work; raise "
        "it when a run ends for lack of memory.",
    )
    shuffle_partitions: Positive | None = where(
        None,
        description="Into how many partitions Spark cuts what it sorts and joins; none lets it "
        "choose by the number of cores.",
    )
    conf: dict[str, str] = where(
        {}, description="Any other settings of Spark, by their own names, as texts."
    )

    @field_validator("master")
    @classmethod
    def _is_master(cls, master: str) -> str:
        if not re.match(r"local(\[|$)|local-cluster\[|yarn$|spark://|k8s://", master):
            raise ValueError(
                f"expected local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT, found {master!r}"
            )
        return master
