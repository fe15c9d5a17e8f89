"""The one Spark session of a process."""

import atexit
import os
import re
import shutil
import signal
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from emberline import errors, shipped
from emberline.datasets import storage
from emberline.errors import ConfigError, EmberlineError, SchemaError
from emberline.launch.sieve import sifted
from emberline.launch.stop import handler_kept
from emberline.logs import may_be_secret, public
from emberline.runs.package import resolve, sources
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig
from emberline.spark import failures, light
from emberline.spark.flow import SparkFlow

Settings = dict[str, bool | float | int | str | None]

# What Emberline's results depend on, whoever started Spark.
_REQUIRED: Settings = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Parquet files hold names that differ only in case, and times in nanoseconds, as pandas writes
    # them.
    "spark.sql.caseSensitive": "true",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # A flipped bit, a file that is gone or cut, is an error that names the file, not fewer or other
    # rows. Parquet's own settings reach its reader by the session's, and overrule the cluster's
    # `spark.hadoop.*`.
    "parquet.page.verify-checksum.enabled": "true",
    "parquet.page.write-checksum.enabled": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Values are those that were written: texts are texts, and moments neither moved to another
    # calendar nor cut.
    "spark.sql.parquet.binaryAsString": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # A batch of pictures has to fit a Python worker.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    # Of each binary column, a cached partition allocates 4 KiB for so many rows before it sees the
    # first: 40 MiB by default.
    "spark.sql.inMemoryColumnarStorage.batchSize": "512",
}
# Spark's error class for a file that cannot be opened, decompressed or decoded, with the file's
# name in its message.
_UNREADABLE = re.compile(
    r"\[FAILED_READ_FILE[^\]]*\] Encountered error while reading file (\S+?)\.(?:\s|$)"
)
# Hadoop's, where the jars that read a storage are not on the classpath.
_NO_CONNECTOR = re.compile(r"Class (\S+FileSystem) not found|No FileSystem for scheme \W?(\w+)")
# What a Python worker raised, at the end of its traceback, and what an expression did.
_RAISED = re.compile(r"^emberline\.errors\.(\w+): (.+)$", re.MULTILINE)
_REFUSED = re.compile(r"\[USER_RAISED_EXCEPTION\] (.+?)(?= SQLSTATE|$)", re.MULTILINE)
_ADDRESSES = ("spark.driver.bindAddress", "spark.driver.host")
# Spark tells Java to use these, and Java tells everybody.
_NOISE = re.compile(rb"WARNING: Using incubator modules: jdk\.incubator\.vector\s*")
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"


class SparkEngine:
    """Starts Spark for the first stage that needs it, stops it after the last, and forgets each
    stage's cached data.

    Where Spark is running already, as in a notebook, it is used, in a session of its own, and left
    running.
    """

    def __init__(self, config: Config, input_bytes: int | None = None) -> None:
        self._config, self._input_bytes = config.spark, input_bytes

    def __enter__(self) -> Self:
        running = SparkSession.getActiveSession()
        self._is_ours = running is None
        self.session = (
            _with_required(running.newSession())
            if running
            else start(self._config, self._input_bytes)
        )
        heap = self.session.sparkContext.getConf().get("spark.driver.memory", "1g")
        self._memory = failures.Memory(
            str(heap), str(self.session.sparkContext.master).startswith("local")
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_ours:
            # a service's signal to stop goes to its JVM, too
            with suppress(*([Py4JError, ConnectionError] if error else [])):
                self.session.stop()

    def begin(self, settings: Any) -> None:
        """Nothing: the session has started."""

    def call(self, run: StageRun[Any]) -> None:
        """Run one stage's function.

        Raises what a Python worker raised, DataError for a file that Spark cannot read, SchemaError
        for factors of another length than their manifest says, ConfigError without a storage's
        jars; and what `failures` makes of the end of Spark itself.
        """
        try:
            is_flow = run.stage.engine == "flow"
            resolve(run.stage.target)(run, SparkFlow(self.session) if is_flow else self.session)
        except (PySparkException, Py4JError, ConnectionError) as error:
            text = failures.text_of(error) or ""
            if raised := _RAISED.search(text):
                kind: type[EmberlineError] = getattr(errors, raised[1])
                raise kind(raised[2]) from error
            if refused := _REFUSED.search(text):
                raise SchemaError(refused[1]) from error
            if unreadable := _UNREADABLE.search(text):
                raise run.unreadable(storage.locate(unreadable[1])) from error
            if unknown := _NO_CONNECTOR.search(text):
                raise ConfigError(
                    f"Spark does not find {unknown[1] or unknown[2]}, by which it reads this"
                    f" storage; add its jars: {shipped.page('storage.md')} says which"
                ) from error
            if not run.control.stopping() and (
                failure := failures.explain(error, self._memory, run.outputs.root)
            ):
                raise failure from error
            raise
        except (KeyboardInterrupt, SystemExit):
            _abandon_call(self.session.sparkContext)
            raise
        finally:
            with suppress(Py4JError, ConnectionError):  # of a Java that has ended
                self.session.catalog.clearCache()


def _abandon_call(context: SparkContext) -> None:
    """End what the JVM does for the call that was interrupted: else the next one gets its
    answer, and its tasks go on writing.
    """
    client = context._gateway._gateway_client  # type: ignore[union-attr]
    if connection := client.get_thread_connection():
        connection.close()
    context.cancelAllJobs()


def start(config: SparkConfig, input_bytes: int | None = None) -> SparkSession:
    """The session: what spark-submit was told, else `config`, and always the settings that results
    depend on; a light one where it is known that little is read.

    Raises ConfigError where Java is missing or a setting is refused.
    """
    is_local = _master(config).startswith("local")
    is_light = light.pays(config, input_bytes)
    settings = {} if _under_spark_submit() else _own_settings(config, is_light)
    if is_local:
        _use_python(sys.executable)
        settings |= _keep_to_loopback()
    if not _under_spark_submit():
        # only spark-submit reads that setting itself
        _use_python(config.conf.get("spark.pyspark.python", "python3"))
    try:
        if not _under_spark_submit():
            _start_java(settings, is_light)
        # SparkContext puts its own there, which raises KeyboardInterrupt
        with handler_kept(signal.SIGINT):
            session = (
                SparkSession.builder.appName("emberline")
                .config(map=settings | _REQUIRED)
                .getOrCreate()
            )
        if not (is_local or _under_spark_submit()):
            _ship_package(session)
    except (PySparkException, FileNotFoundError) as error:
        raise ConfigError(
            f"Spark does not start: {public(error)}; run emberline doctor, which looks for the"
            " reason"
        ) from error
    return _with_required(session)


def _keep_to_loopback() -> Settings:
    """Have a local Spark listen where this machine alone reaches it; as its UI has no setting for
    that, by a variable of Java's.

    Without them it listens where the host's name leads, and its UI everywhere. Where somebody has
    said where, that holds.
    """
    if _under_spark_submit():
        return {name: "127.0.0.1" for name in _ADDRESSES if not SparkConf().contains(name)}
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return {}


def _start_java(settings: Settings, is_light: bool) -> None:
    """All users of a machine see Java's command line: what may be a secret is told to it
    afterwards.
    """
    if not is_light and _runs_light_java():
        _end_java()
    told = {key: str(value) for key, value in settings.items()}
    shown = [
        (key, value)
        for key, value in told.items()
        if key == _JAVA_OPTIONS or not may_be_secret(key, value)
    ]
    with sifted(_NOISE):
        SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll(shown))


def _runs_light_java() -> bool:
    """Whether a small run before this one, in this process, has left its Java."""
    java: Any = SparkContext._jvm
    return java is not None and java.java.lang.System.getProperty(light.MARK) is not None


def _end_java() -> None:
    gateway: Any = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()  # its sign to end
    gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


def _with_required(session: SparkSession) -> SparkSession:
    for key, value in _REQUIRED.items():
        session.conf.set(key, str(value))
    return session


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _master(config: SparkConfig) -> str:
    if not _under_spark_submit():
        return config.master
    # what spark-submit was told is known to its JVM only; this connects to it
    SparkContext._ensure_initialized()
    return str(SparkConf().get("spark.master", ""))


def _use_python(python: str) -> None:
    """Python workers start the `python3` of the PATH unless told otherwise, which need not be
    the one with pyarrow.
    """
    os.environ.setdefault("PYSPARK_PYTHON", python)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _ship_package(session: SparkSession) -> None:
    """Send this package to the cluster's executors, as `--py-files` does under spark-submit."""
    folder = Path(tempfile.mkdtemp(prefix="emberline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with zipfile.ZipFile(folder / "emberline.zip", "w") as package:
        for name, content in sources():
            package.writestr(f"emberline/{name}", content)
    session.sparkContext.addPyFile(str(folder / "emberline.zip"))


def _own_settings(config: SparkConfig, is_light: bool) -> Settings:
    usual = light.SHUFFLE_PARTITIONS if is_light else 4 * (os.cpu_count() or 2)
    java = [_quiet_log(), light.java_options(config) if is_light else ""]
    return {
        "spark.master": config.master,
        "spark.driver.memory": config.driver_memory,
        "spark.sql.shuffle.partitions": str(config.shuffle_partitions or usual),
        # Up to here the driver looks at input files itself: a job with one task per file takes
        # seconds where that takes none.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
        **(light.SPARK if is_light else {}),
        **config.conf,
        _JAVA_OPTIONS: " ".join(filter(None, [*java, config.conf.get(_JAVA_OPTIONS)])),
    }


def _quiet_log() -> str:
    log4j = Path(__file__).with_name("log4j2.properties")
    return f"-Dlog4j2.configurationFile={log4j.as_uri()}" if log4j.is_file() else ""
