"""The network that a run needs, be it within this machine only."""

import socket
import time
from collections.abc import Mapping

from emberline.doctor.check import Check, error, ok, reason, warning
from emberline.launch.cluster import close_ports
from emberline.launch.network import PrivateNetwork
from emberline.sections.cnn import CnnConfig

_SECONDS = 3.0  # to wait for a connection
_SLOW = 2.0  # seconds for a name, which every start of Spark then takes
_USE_LOOPBACK = "export SPARK_LOCAL_IP=127.0.0.1, or add the name to /etc/hosts"


def check_loopback() -> Check:
    """Whether processes of this machine reach each other: Spark's Java and Python, TensorFlow's
    replicas.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), _SECONDS):
                return ok("loopback", "127.0.0.1 takes connections")
    except OSError as refusal:
        return error(
            "loopback",
            f"127.0.0.1: {reason(refusal)}",
            "bring the loopback interface up, and let a firewall pass it",
        )


def check_trainers(cnn: CnnConfig | None, is_local_root: bool) -> list[Check]:
    """A line where several trainers run: who reaches TensorFlow's ports, which obey anybody."""
    name = "trainers' ports"
    if cnn is None or cnn.team.workers == 1:
        return []
    if cnn.team.launcher == "spark":
        return [warning(name, "on Spark's executors, on all of their interfaces", close_ports())]
    if not is_local_root:
        return [
            warning(name, "on all interfaces, as the root is reached by the network", close_ports())
        ]
    try:
        with PrivateNetwork():
            return [ok(name, "in a network of their own")]
    except OSError as refusal:
        return [
            warning(
                name,
                f"on all interfaces: no network of their own can be made here ({reason(refusal)})",
                close_ports(),
            )
        ]


def check_host_name(environment: Mapping[str, str], name: str, master: str = "") -> Check:
    """Whether Spark's driver can bind to the address of this machine's `name`, or of what
    stands in for it.
    """
    override = next(
        (key for key in ("SPARK_LOCAL_IP", "SPARK_LOCAL_HOSTNAME") if environment.get(key)), None
    )
    if override is None and master.startswith("local"):
        return ok("host name", f"{name}: not asked for, a local Spark listens on 127.0.0.1")
    asked = environment[override] if override else name
    shown = f"{override} = {asked}" if override else asked
    remedy = f"correct {override}, or unset it" if override else _USE_LOOPBACK
    began = time.monotonic()
    try:
        family, _, _, _, address = _first_address(asked)
    except (OSError, UnicodeError) as refusal:
        return error("host name", f"{shown} does not resolve: {reason(refusal)}", remedy)
    seconds = time.monotonic() - began
    try:
        with socket.socket(family) as probe:
            probe.bind((address[0], 0))
    except OSError as refusal:
        return error(
            "host name",
            f"{shown} resolves to {address[0]}, to which nothing here binds: {reason(refusal)}",
            remedy,
        )
    found = f"{shown} resolves to {address[0]}"
    return (
        warning("host name", f"{found}, after {seconds:.1f} s", remedy)
        if seconds > _SLOW
        else ok("host name", found)
    )


def _first_address(
    name: str,
) -> tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]:
    """As Java chooses: an IPv4 address where there is one."""
    found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)  # type: ignore[return-value]
