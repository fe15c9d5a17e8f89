"""A real standalone cluster on this machine's loopback: a master and its workers, started from
pip's pyspark and stopped again.

    .venv/bin/python spark-conf/cluster.py start [--workers N] [--cores N] [--memory 2g]
                                                 [--port 7077] [--folder DIR]
    .venv/bin/python spark-conf/cluster.py stop [--folder DIR]

Executors find the `python3` of the PATH that this was started with, unless spark-submit names
another one.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

HOST = "127.0.0.1"
STATE = "cluster.json"
# A port that is taken is said to be taken, instead of trying the next one; jobs are submitted by
# clients, not over HTTP.
SETTINGS = "spark.port.maxRetries 0\nspark.master.rest.enabled false\n"
START_SECONDS = 120
STOP_SECONDS = 10
_UI = re.compile(r"Bound MasterWebUI to \S+, and started at (http://\S+)")
_PROBLEM = re.compile(r"^.*(?:Exception|Error)\b.*$", re.MULTILINE)

T = TypeVar("T")


class ClusterError(Exception):
    """What went wrong, and what to do about it; the script ends with exit code 2."""


@dataclass
class Cluster:
    """What was started. `settings`, a file of a name that no other has, is in the command line
    of each of its processes.
    """

    folder: Path
    settings: str
    master: str = ""
    ui: str = ""
    pids: dict[str, int] = field(default_factory=dict)

    def save(self) -> None:
        content = {**asdict(self), "folder": str(self.folder)}
        (self.folder / STATE).write_text(json.dumps(content, indent=1), encoding="utf-8")

    def alive(self) -> list[str]:
        """The processes that run, and still are the ones that were started: a free id goes to
        another process.
        """
        return [
            name
            for name, pid in self.pids.items()
            if _is_child(pid) or self.settings in _command_line(pid)
        ]


def start(folder: Path, workers: int, cores: int, memory: str, port: int, ui_port: int) -> Cluster:
    """A master and its workers, all of them registered; port 0 is any free one. Raises
    ClusterError, and then nothing runs.
    """
    running = load(folder)
    if running and running.alive():
        raise ClusterError(
            f"the cluster in {folder} is running already, at {running.master}; stop it first"
        )
    cluster = Cluster(folder, str(folder / f"{uuid.uuid4().hex}.conf"))
    Path(cluster.settings).write_text(SETTINGS, encoding="utf-8")
    try:
        _start_master(cluster, port, ui_port)
        for number in range(1, workers + 1):
            resources = [
                "--cores",
                str(cores),
                "--memory",
                memory,
                "--work-dir",
                str(folder / "work"),
            ]
            _launch(
                cluster,
                f"worker-{number}",
                "worker.Worker",
                "--webui-port",
                "0",
                *resources,
                cluster.master,
            )
        _wait(cluster, "the workers to register", lambda: _registered(cluster) == workers)
    except BaseException:
        stop(cluster)
        raise
    return cluster


def stop(cluster: Cluster) -> list[str]:
    """End what `start` has started, and nothing else; the names of those that were still
    running.
    """
    running = cluster.alive()
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for name in cluster.alive():
            with suppress(ProcessLookupError):
                os.kill(cluster.pids[name], sign)
        deadline = time.monotonic() + STOP_SECONDS
        while cluster.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
    for path in (Path(cluster.settings), cluster.folder / STATE):
        path.unlink(missing_ok=True)
    return running


def load(folder: Path) -> Cluster | None:
    """The cluster that was started in the folder; None where none was, or where it has been
    stopped.
    """
    try:
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return Cluster(**{**content, "folder": folder})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ClusterError(
            f"{folder / STATE} is damaged ({error}); end its processes by hand, then remove it"
        ) from None


def _start_master(cluster: Cluster, port: int, ui_port: int) -> None:
    _launch(cluster, "master", "master.Master", "--port", str(port), "--webui-port", str(ui_port))
    cluster.ui = _wait(cluster, "the master's web UI", lambda: _UI.search(_log(cluster, "master")))[
        1
    ]
    cluster.master = _wait(cluster, "the master", lambda: state(cluster).get("url"))
    cluster.save()


def _launch(cluster: Cluster, name: str, kind: str, *arguments: str) -> None:
    spark_home = _spark_home()
    environment = {
        **os.environ,
        "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_DAEMON_MEMORY": "512m",
    }
    common = ["--host", HOST, "--properties-file", cluster.settings]
    command = [
        str(spark_home / "bin/spark-class"),
        f"org.apache.spark.deploy.{kind}",
        *common,
        *arguments,
    ]
    with (cluster.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    cluster.pids[name] = process.pid
    cluster.save()


def _spark_home() -> Path:
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise ClusterError(
            f"{sys.executable} has no pyspark; run this with the project's Python: .venv/bin/python"
        )
    return Path(found.origin).parent


def _wait(cluster: Cluster, what: str, found: Callable[[], T | None]) -> T:
    """What `found` finds, as soon as it is something. Raises ClusterError where a process ends
    before, or after START_SECONDS.
    """
    deadline = time.monotonic() + START_SECONDS
    while not (result := found()):
        if ended := [name for name in cluster.pids if name not in cluster.alive()]:
            raise ClusterError(
                f"{ended[0]} ended: {_problem(cluster, ended[0])}; see"
                f" {cluster.folder / ended[0]}.log"
            )
        if time.monotonic() > deadline:
            raise ClusterError(
                f"waited {START_SECONDS} s for {what}; see the logs in {cluster.folder}"
            )
        time.sleep(0.2)
    return result


def _problem(cluster: Cluster, name: str) -> str:
    """The log's first line that names an error, else its last one."""
    log = _log(cluster, name).strip()
    problem = _PROBLEM.search(log)
    return (problem[0] if problem else log.rpartition("\n")[2]).strip()


def _log(cluster: Cluster, name: str) -> str:
    return (cluster.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def _registered(cluster: Cluster) -> int:
    return sum(worker["state"] == "ALIVE" for worker in state(cluster).get("workers", []))


def state(cluster: Cluster) -> dict[str, Any]:
    """What the master says of its workers and applications; nothing while it does not answer."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, ValueError), direct.open(f"{cluster.ui}/json/", timeout=5) as answer:
        content: dict[str, Any] = json.load(answer)
        return content
    return {}


def _is_child(pid: int) -> bool:
    """Whether this process has started that one, and it has not ended."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        with suppress(OSError):
            return (
                Path(f"/proc/{pid}/cmdline")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
            )
        return ""
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    ).stdout


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps two of this script from starting and stopping the same cluster at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(
                f"the cluster in {folder} is being started or stopped right now"
            ) from None
        yield


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="A standalone cluster on this machine's loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "--folder",
        type=Path,
        default=Path("runs/cluster"),
        help="for its logs and work (runs/cluster)",
    )
    begin = commands.add_parser("start", parents=[folder], help="start a master and workers")
    begin.add_argument("--workers", type=_positive, default=2, help="how many (2)")
    begin.add_argument("--cores", type=_positive, default=1, help="of each worker (1)")
    begin.add_argument(
        "--memory",
        type=_memory,
        default="2g",
        help="of each worker, for executors, such as 512m or 4g (2g)",
    )
    begin.add_argument(
        "--port", type=_port, default=7077, help="the master's; 0 is any free one (7077)"
    )
    begin.add_argument(
        "--ui-port",
        type=_port,
        default=8080,
        help="the master's web UI's; 0 is any free one (8080)",
    )
    commands.add_parser("stop", parents=[folder], help="stop them")
    given = vars(parser.parse_args())
    command, place = given.pop("command"), given.pop("folder").absolute()
    try:
        with _alone(place):
            _start_and_say(place, **given) if command == "start" else _stop_and_say(place)
    except ClusterError as error:
        sys.exit(_refuse(error))


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


def _memory(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[mg]", text):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 512m or 4g")
    return text


def _port(text: str) -> int:
    if int(text) != 0 and not 1024 <= int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not in 1024..65535, nor 0 for any free one")
    return int(text)


def _refuse(error: ClusterError) -> int:
    print(f"cluster: error: {error}", file=sys.stderr)
    return 2


def _start_and_say(
    folder: Path, workers: int, cores: int, memory: str, port: int, ui_port: int
) -> None:
    cluster = start(folder, workers, cores, memory, port, ui_port)
    print(f"Started {workers} workers of {cores} cores and {memory} each; logs are in {folder}")
    print(f"Master: {cluster.master}")
    print(f"Web UI: {cluster.ui}")


def _stop_and_say(folder: Path) -> None:
    cluster = load(folder)
    stopped = stop(cluster) if cluster else []
    print(f"Stopped {', '.join(stopped)}" if stopped else f"No cluster is running in {folder}")


if __name__ == "__main__":
    main()
