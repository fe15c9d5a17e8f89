"""What a process has to know of its team, as TensorFlow reads it: everybody's address, and which one is its own."""

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack

Environment = dict[str, str | None]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. Another program may be faster than the one that they are for."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def environment(addresses: Sequence[str], rank: int) -> Environment:
    """TF_CONFIG for a member of a team; one that is alone gets none, be there one in this process's own environment."""
    if len(addresses) == 1:
        return {"TF_CONFIG": None}
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}})}
