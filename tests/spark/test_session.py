"""What Spark cannot do, as errors that say what to do."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from emberline import stages
from emberline.datasets.remote import RemotePath
from emberline.errors import ConfigError
from emberline.runs import runner
from emberline.sections.config import Config

Publish = Callable[..., None]
WithinReach = Callable[[int], set[tuple[int, int]]]


def test_a_storage_that_spark_has_no_jars_for_is_a_matter_of_set_up(
    spark: SparkSession, publish: Publish, s3_root: RemotePath
) -> None:
    """pip's pyspark comes without them; what it reads is in the root."""
    picture = {"item": 0, "item_id": "i", "label": "a", "split": None, "pixels": b"123"}
    facts = {"height": 1, "width": 1, "channels": 3, "mean": [0.5] * 3, "std": [0.1] * 3}
    publish(s3_root, "prepare-images", "images", [picture], **facts)
    sections = {"images": {"path": "in"}, "shards": {"task": "class"}}
    config = Config.model_validate({**sections, "spark": {"engine": "spark"}})
    with pytest.raises(
        ConfigError, match=r"S3AFileSystem, by which it reads this storage; .*storage\.md"
    ):
        runner.run(config, s3_root, stages.select(config, "export-shards"))


def test_a_local_spark_listens_where_this_machine_alone_reaches_it(
    spark: SparkSession, within_reach: WithinReach
) -> None:
    assert (
        spark.range(8, numPartitions=2).mapInArrow(lambda batches: batches, "id long").count() == 8
    )
    assert within_reach(os.getpid()) == set()


@pytest.mark.faults
def test_a_local_spark_with_its_pages_on_listens_on_loopback_too(within_reach: WithinReach) -> None:
    code = """
import sys
from emberline.sections.spark import SparkConfig
from emberline.spark import session
conf = {"spark.ui.enabled": "true"}
spark = session.start(SparkConfig(master="local[1]", driver_memory="512m", conf=conf))
print("up" if spark.sparkContext.uiWebUrl else "no pages", flush=True)
sys.stdin.read()
"""
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_LOCAL_IP"}
    program = [sys.executable, "-c", code]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout and process.stdout.readline() == "up\n"
        assert within_reach(process.pid) == set()
        process.kill()


@pytest.mark.faults
def test_a_secret_of_spark_is_not_on_javas_command_line() -> None:
    """All users of the machine see that; Spark itself knows the setting."""
    code = """
import subprocess
from emberline.sections.spark import SparkConfig
from emberline.spark import session
conf = {"fs.azure.sas.box": "?sig=hush", "spark.hadoop.fs.s3a.secret.key": "hush"}
conf["spark.app.id"] = "known"
spark = session.start(SparkConfig(master="local[1]", driver_memory="512m", conf=conf))
ps = ["ps", "-ww", "-e", "-o", "args"]
lines = subprocess.run(ps, capture_output=True, text=True).stdout.splitlines()
java = [line for line in lines if line.split(" ")[0].endswith("java")]
seen = "".join(line for line in java if "spark.app.id" in line)
hadoop = spark.sparkContext._jsc.hadoopConfiguration()
print("known" in seen, "hush" in seen, hadoop.get("fs.s3a.secret.key"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "True False hush", done.stderr
