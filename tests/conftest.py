"""What the tests share: one Spark session for all of them, and the ways to run a pipeline."""

import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.remote import RemotePath
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.runs import runner
from emberline.runs.runner import Outcome
from emberline.sections.spark import SparkConfig
from emberline.spark import session
from emberline.spark.flow import SparkFlow

# Small data, so that most of the time is Java warming up: let it optimise and generate less,
# collect garbage in one thread, and cut less finely. The pipelines of tests/jobs do generate code.
SPARK = SparkConfig(
    master="local[2]",
    driver_memory="1g",
    shuffle_partitions=3,
    conf={
        "spark.driver.extraJavaOptions": (
            "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
        ),
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    },
)
Publish = Callable[..., None]
ShufflingInto = Callable[[int], AbstractContextManager[None]]
Weights = Callable[[Location], dict[str, np.ndarray]]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# `first()` is true once per rank and folder; a peer's end does to `collective` what it does to
# TensorFlow's.
TEAM_WORKER = """
import json, os, signal, socket, sys, time
from pathlib import Path

config = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))
rank, folder = config["task"]["index"], Path(os.environ["FOLDER"])

def first():
    try:
        (folder / f"first-{rank}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

if os.environ.get("NEVER") == str(rank) and first():
    time.sleep(600)

from emberline.errors import ConfigError, DataError, Preempted, TrainingError
from emberline.launch.child import Requests
from emberline.launch.messages import Done, Failed, Lost, PortTaken, Progress

requests = Requests()

def steps(count):
    for step in range(count):
        requests.at("step", step)
        time.sleep(0.02)

def fail(error):
    requests.send(Failed.of(error))

def lose():
    requests.send(Lost("Connection reset by peer"))
    time.sleep(600)

def kill(number):
    os.kill(os.getpid(), number)

for request in requests:
    exec(request["do"][rank])
    if rank == 0:
        requests.send(Progress("at the end"))
        requests.send(Done({"pid": os.getpid()}))
"""

Run = Callable[..., list[Outcome]]
Read = Callable[[str], pa.Table]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


# examples may take any time, as on a machine that others use, too
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier tests of this process had hidden may be a word of what is said here."""
    monkeypatch.setattr("emberline.logs._hidden", set())


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The one session; a test that changes its settings changes them back."""
    started = session.start(SPARK)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not there")
    return SHARED_DATA


@pytest.fixture
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    """Who works on blocks: two threads of this process or, by indirect parameter, Spark."""
    if getattr(request, "param", "here") == "spark":
        session: SparkSession = request.getfixturevalue("spark")
        yield SparkFlow(session)
        session.catalog.clearCache()
        return
    with Here(memory=1 << 30, cores=2) as here:
        yield here


@pytest.fixture(scope="session")
def shuffling_into(spark: SparkSession) -> ShufflingInto:
    """`with shuffling_into(n)`: shuffles make exactly n partitions and joins broadcast nothing,
    however small they are.
    """

    @contextmanager
    def changed(partitions: int) -> Iterator[None]:
        settings = {
            "spark.sql.shuffle.partitions": str(partitions),
            "spark.sql.adaptive.coalescePartitions.enabled": "false",
            "spark.sql.autoBroadcastJoinThreshold": "-1",
        }
        before = {key: str(spark.conf.get(key)) for key in settings}
        for key, value in settings.items():
            spark.conf.set(key, value)
        try:
            yield
        finally:
            for key, value in before.items():
                spark.conf.set(key, value)

    return changed


@pytest.fixture(scope="session")
def publish() -> Publish:
    """`publish(root, stage, name, rows, rank=None, config=None, **info)` makes a dataset, as if
    a run of the stage had.
    """

    def publish_rows(
        root: Path,
        stage: str,
        name: str,
        rows: pa.Table | list[dict[str, Any]],
        rank: int | None = None,
        config: dict[str, Any] | None = None,
        **info: Any,
    ) -> None:
        run_id = "20250101T000000-00000000"
        schema = TABLES[name]
        if name.endswith("_attributes") and isinstance(rows, list):
            rows = [{"categories": [], "lists": []} | row for row in rows]
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, schema=schema)
        part = write_part([table], root / name / run_folder("0" * 64, run_id), "part-00000", schema)
        made = ProducedBy(stage, "0" * 64, run_id, config or {})
        fields, count = fields_of(schema), table.num_rows
        manifest = Manifest(name, "table", fields, count, [part], made, rank=rank, info=info)
        manifests.commit(root, manifest)

    return publish_rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server on loopback that speaks S3, and the environment that leads there, for this
    process and its children.
    """
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield url
    server.stop()


@pytest.fixture
def s3_root(s3_server: str) -> RemotePath:
    """A folder of a bucket of its own."""
    bucket = f"shop-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=bucket)
    return RemotePath("s3", bucket, PurePosixPath("/runs/nightly"))


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, root: Path) -> Run:
    """`run(toml, *overrides, only=None, force=False)` runs a pipeline, with its datasets in `root`;
    where it needs Spark, in the shared session.
    """

    def run_pipeline(
        toml: str, *overrides: str, only: str | None = None, force: bool = False
    ) -> list[Outcome]:
        path = tmp_path / "pipeline.toml"
        path.write_text(toml, encoding="utf-8")
        config = pipelines.load(path, overrides)
        selected = stages.select(config, only)
        if config.spark.engine == "spark" or any(stage.engine == "spark" for stage in selected):
            request.getfixturevalue("spark")
        return runner.run(config, root, selected, force=force)

    return run_pipeline


@pytest.fixture
def read(root: Path) -> Read:
    """`read(name)` is a dataset's rows, read without Spark, in the order of its parts."""

    def read_dataset(name: str) -> pa.Table:
        paths = manifests.load(root, name).paths
        return pa.concat_tables(map(pq.read_table, paths)) if paths else TABLES[name].empty_table()

    return read_dataset


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`command(*arguments)` runs the `emberline` command in a process of its own, in the test's
    folder.
    """

    def run_command(*arguments: Any, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        program = [
            sys.executable,
            "-c",
            "from emberline.cli.main import main; main()",
            *map(str, arguments),
        ]
        return subprocess.run(
            program, cwd=tmp_path, capture_output=True, text=True, timeout=timeout
        )

    return run_command


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], None]]:
    """`small_disk(place, "1m")` makes a folder that is a disk of that size; without the right
    to, the test is skipped.
    """
    mounted: list[Path] = []

    def mount(place: Path, size: str) -> None:
        place.mkdir(parents=True)
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True
        ).returncode:
            pytest.skip("no right to mount a small disk")
        mounted.append(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture(scope="session")
def within_reach() -> Callable[[int], set[tuple[int, int]]]:
    """`within_reach(pid)`: process ids and ports at which other machines reach the process, or
    one that it has started.
    """

    def reachable(pid: int) -> set[tuple[int, int]]:
        listening = {inode: port for inode, is_loopback, port in _listening() if not is_loopback}
        found = set()
        for each in _family(pid):
            with suppress(FileNotFoundError):  # it has ended
                if Path(f"/proc/{each}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
                    found |= {
                        (each, listening[inode]) for inode in _sockets(each) if inode in listening
                    }
        return found

    return reachable


def _listening() -> Iterator[tuple[str, bool, int]]:
    """Of each socket in this network on which somebody listens: its inode, whether it is on
    loopback, and its port.
    """
    loopback = re.compile(r"[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F")
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A":
                yield fields[9], loopback.fullmatch(address) is not None, int(port, 16)


def _family(pid: int) -> set[int]:
    """A process and those that it has started, and so on."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _sockets(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                yield found[1]


@pytest.fixture(scope="session")
def team_worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a module `team_worker`, whose processes run the code that a request has for
    their rank: {"do": [code, ...]}.
    """
    path = tmp_path_factory.mktemp("worker") / "team_worker.py"
    path.write_text(TEAM_WORKER)
    return path


@pytest.fixture(scope="session")
def weights() -> Weights:
    """`weights(root)`: the arrays of the trained model, read without Keras."""

    def read(root: Location) -> dict[str, np.ndarray]:
        path = next(
            path for path in manifests.load(root, "cnn").paths if path.name == "model.keras"
        )
        with (
            zipfile.ZipFile(BytesIO(path.read_bytes())) as archive,
            h5py.File(BytesIO(archive.read("model.weights.h5"))) as file,
        ):
            found: dict[str, np.ndarray] = {}
            file.visititems(
                lambda name, node: (
                    found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None
                )
            )
            return found

    return read
