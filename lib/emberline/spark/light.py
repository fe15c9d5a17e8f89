"""What makes Spark quick on small inputs on one machine, where most of the time is Java's start."""

import os
from pathlib import Path

import pyspark

from emberline.sections.spark import SparkConfig

# Up to so many bytes of input, a run is over before Java has optimised what it runs.
SMALL = 32 << 20
# A property by which a Java that runs already is known to be light.
MARK = "emberline.light"
# Compile at once and plainly, and keep what is compiled; collect garbage in one thread.
JAVA = f"-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC -D{MARK}=true"
SPARK = {
    # It plans every query once more after each of its shuffles.
    "spark.sql.adaptive.enabled": "false",
}
SHUFFLE_PARTITIONS = min(os.cpu_count() or 2, 4)
# Where somebody may have told Java other things, two of which it can refuse to start with.
_JAVA_SETTINGS = ("spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions")
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")


def pays(config: SparkConfig, input_bytes: int | None) -> bool:
    """Whether a run that Emberline starts itself is small, on this machine, and left to its own
    settings by Spark's file of them.
    """
    is_small = input_bytes is not None and input_bytes <= SMALL
    return is_small and config.is_local and not _has_defaults()


def java_options(config: SparkConfig) -> str:
    """For Java, unless somebody has told it something."""
    is_told = any(name in config.conf for name in _JAVA_SETTINGS) or any(
        name in os.environ for name in _JAVA_VARIABLES
    )
    return "" if is_told else JAVA


def _has_defaults() -> bool:
    home = os.environ.get("SPARK_HOME", Path(pyspark.__file__).parent)
    folder = Path(os.environ.get("SPARK_CONF_DIR", Path(home) / "conf"))
    return (folder / "spark-defaults.conf").exists()
