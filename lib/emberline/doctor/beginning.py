"""What is looked at before a run's first stage: what would end it with a traceback of Java's,
and takes no second to see.
"""

from collections.abc import Iterator, Mapping, Sequence

from emberline.datasets.storage import Location
from emberline.doctor import account, clock, places, spark
from emberline.doctor.check import Check
from emberline.doctor.probes import Probes
from emberline.errors import ConfigError
from emberline.runs import plan as plans
from emberline.sections.config import Config
from emberline.sections.stage import Stage


def check(
    config: Config,
    root: Location,
    stages: Sequence[Stage],
    force: bool,
    environment: Mapping[str, str],
) -> None:
    """Raises ConfigError for the first thing that is in the way of a stage that has something
    to do.
    """
    wrong = next(
        (line for line in _look(config, stages, environment) if line.state == "error"), None
    )
    if wrong and any(
        decision.action == "run" for decision in plans.plan(config, root, stages, force)
    ):
        raise ConfigError(f"{wrong.name}: {wrong.found}; {wrong.remedy}")


def _look(
    config: Config, stages: Sequence[Stage], environment: Mapping[str, str]
) -> Iterator[Check]:
    yield clock.check_clock()
    if (
        not any(stage.needs_spark(config) for stage in stages)
        or "PYSPARK_GATEWAY_PORT" in environment
    ):
        return  # under spark-submit, Spark is there already
    yield account.check_account()
    yield spark.check_spark_home(environment)
    yield spark.check_pyspark()
    yield from places.check_temporary(config.spark, environment)
    if environment.get("PYSPARK_PYTHON"):
        with Probes() as probes:
            yield spark.check_workers(probes, environment, config.spark.master)
