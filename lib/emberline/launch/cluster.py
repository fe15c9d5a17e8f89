"""What a process has to know of its team, as TensorFlow reads it: everybody's address, which is
its own, and its GPUs.
"""

import json
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from emberline import shipped
from emberline.errors import ConfigError

Environment = dict[str, str | None]


def close_ports() -> str:
    """What to do where trainers can be reached by others."""
    page = shipped.page("security.md")
    return (
        "their ports obey whoever reaches them: close the ports of this machine to others, by a"
        f" firewall; {page} says more"
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. Another program may be faster than the one that they are
    for.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def environment(addresses: Sequence[str], rank: int) -> Environment:
    """TF_CONFIG for a member of a team; one that is alone gets none, be there one in this process's
    own environment.

    They reach each other directly, whatever proxy the environment names for other hosts.
    """
    if len(addresses) == 1:
        return {"TF_CONFIG": None}
    config = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}}
    hosts = dict.fromkeys(each.rpartition(":")[0].strip("[]") for each in addresses)
    return {"TF_CONFIG": json.dumps(config), "no_grpc_proxy": ",".join(hosts)}


def visible_gpus() -> list[str]:
    """This machine's GPUs, as CUDA names them, or those of them that the environment leaves to
    this process.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


def own_gpus(gpus: Sequence[str], size: int, rank: int) -> Environment:
    """A member's share of one machine's GPUs: two processes cannot reduce over the same one.
    Raises ConfigError for too few.
    """
    if size == 1 or not gpus:
        return {}
    if len(gpus) < size:
        raise ConfigError(
            f"{size} trainers were asked for, but this machine has {len(gpus)} GPUs for them; ask"
            " for fewer"
        )
    each = len(gpus) // size
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[rank * each : (rank + 1) * each])}
