"""The stage train-cnn on Spark's executors: a barrier stage whose tasks each start one trainer
process, watched from here.

A trainer reads shards and writes checkpoints by itself; Spark finds it a place, and GPUs where it
manages them.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterator
from typing import Self

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import InheritableThread, SparkContext, TaskContext
from pyspark.sql import SparkSession

from emberline import trainers
from emberline.errors import ConfigError, EmberlineError, Preempted
from emberline.launch import agent, cluster
from emberline.launch.child import Inbox
from emberline.launch.cluster import Environment
from emberline.launch.messages import Failed
from emberline.launch.remote import Meeting, Remote
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.sections.cnn import CnnConfig, TeamConfig

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
log = logging.getLogger(__name__)
_GROUP = "emberline-trainers"
# for tasks to end by themselves, which they do as soon as their connections are closed
_END_SECONDS = 10.0


def run(run: StageRun[CnnConfig], spark: SparkSession) -> None:
    """Train by `cnn.team.workers` processes on the executors. Raises ConfigError where Spark
    cannot run as many tasks at once.
    """
    with Barrier(spark, run.settings.team, run.control.stopping) as launcher:
        trainers.run_by(launcher, run)


class Barrier:
    """A launcher: each team is a job of its own, as Spark starts no task of a failed barrier
    stage again.
    """

    def __init__(
        self,
        spark: SparkSession,
        config: TeamConfig,
        stopping: Callable[[], bool] = lambda: False,
        module: str = trainers.WORKER,
        environment: Environment = trainers.ENVIRONMENT,
    ) -> None:
        self.inbox: Inbox = queue.SimpleQueue()
        self._spark, self._config, self._stopping = spark, config, stopping
        self._module, self._environment = module, environment
        self._meeting: Meeting | None = None
        self._job: InheritableThread | None = None

    def start(self) -> list[Remote]:
        """Members that are on their way, as soon as there is room for them."""
        self._wait_for_room()
        log.warning(
            event(
                "trainers_within_reach",
                because="they are on Spark's executors",
                advice=cluster.close_ports(),
            )
        )
        conf = self._spark.sparkContext.getConf()
        host = conf.get("spark.driver.host", "127.0.0.1")
        self._meeting = Meeting(
            self._config.workers, self.inbox, conf.get("spark.driver.bindAddress", host)
        )
        task = _task(
            (host, self._meeting.port), self._meeting.token, self._module, self._environment
        )
        self._job = InheritableThread(target=self._run_job, args=(task, self._meeting), daemon=True)
        self._job.start()
        return self._meeting.members

    def kill(self) -> None:
        """End the trainers, and the job with them."""
        if self._meeting is None or self._job is None:
            return
        self._meeting.close()
        self._job.join(_END_SECONDS)
        if self._job.is_alive():
            self._spark.sparkContext.cancelJobGroup(_GROUP)
            self._job.join(_END_SECONDS)
        self._meeting = self._job = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def _wait_for_room(self) -> None:
        """Executors may be about to start; Spark itself would ask 40 times, each quarter of a
        minute.
        """
        self._end_if_asked()
        context, workers = self._spark.sparkContext, self._config.workers
        if context.getConf().get("spark.dynamicAllocation.enabled") == "true":
            raise ConfigError(
                'cnn.team.launcher = "spark" needs all executors at once: submit with --conf'
                " spark.dynamicAllocation.enabled=false"
            )
        waited = self._config.start_timeout
        until = time.monotonic() + waited
        while (room := _num_concurrent_tasks(context)) < workers:
            self._end_if_asked()
            if time.monotonic() > until:
                raise ConfigError(
                    f"cnn.team.workers = {workers}, but Spark runs no more than {room} tasks at"
                    f" once (waited {waited:g} s for more): lower cnn.team.workers, give Spark more"
                    " executors or cores, or raise cnn.team.start_timeout"
                )
            time.sleep(0.2)

    def _end_if_asked(self) -> None:
        if self._stopping() or _has_ended(self._spark.sparkContext):
            raise Preempted(
                "train-cnn was asked to stop while it waited for executors; run it again"
            )

    def _run_job(self, task: Task, meeting: Meeting) -> None:
        """The job; how its tasks end, their connections say, unless it never had any."""
        self._spark.sparkContext.setJobGroup(
            _GROUP, "train-cnn: a trainer process per task", interruptOnCancel=True
        )
        workers = self._config.workers
        try:
            self._spark.range(workers, numPartitions=workers).mapInArrow(
                task, "rank int", barrier=True
            ).collect()
        except Exception as error:  # also what py4j and the network add
            if not meeting.is_complete:
                self.inbox.put((None, Failed.of(_reason(error, self._spark.sparkContext))))


def _reason(error: Exception, context: SparkContext) -> EmberlineError:
    """Why Spark has not started the trainers."""
    if _has_ended(context):
        return Preempted("train-cnn was asked to stop, as Spark has ended; run it again")
    first_line = str(error).strip().partition("\n")[0]
    return ConfigError(f"Spark does not start the trainers: {first_line}")


def _has_ended(context: SparkContext) -> bool:
    """Whether Spark is about to end, or has: somebody who stops spark-submit stops its Java, which
    takes the executors down before a signal of it comes here.
    """
    try:
        return bool(context._jsc.sc().isStopped())
    except (Py4JError, ConnectionError):
        return True


def _num_concurrent_tasks(context: SparkContext) -> int:
    """As Spark counts them for barrier stages; none where it ends."""
    try:
        scala = context._jsc.sc()
        profile = scala.resourceProfileManager().defaultResourceProfile()
        return int(scala.maxNumConcurrentTasks(profile))
    except (Py4JError, ConnectionError):
        if _has_ended(context):
            return 0
        raise


def _task(driver: tuple[str, int], token: str, module: str, environment: Environment) -> Task:
    """What each task does. It is sent by value, so that executors load none of this module's
    imports but those that it names.
    """

    def run_trainer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            pass
        context = TaskContext.get()
        assert context is not None
        gpus = context.resources().get("gpu")
        visible: Environment = {"CUDA_VISIBLE_DEVICES": ",".join(gpus.addresses)} if gpus else {}
        agent.serve(driver, token, context.partitionId(), module, environment | visible)
        yield from ()

    return run_trainer
