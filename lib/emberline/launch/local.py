"""Teams of processes on this machine, which find each other on loopback, in a network of their
own where there can be one.
"""

import logging
import queue
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from emberline.launch import cluster
from emberline.launch.child import Child, Inbox
from emberline.launch.network import PrivateNetwork
from emberline.logs import event

log = logging.getLogger(__name__)
_HOST = "127.0.0.1"


class Local:
    """A launcher. The team stays for the next request until it is killed, or this context ends.

    With `is_apart`, several are in a network of their own, out of reach of others; where none can
    be made, a warning says so.
    """

    def __init__(
        self,
        module: str,
        size: int = 1,
        environment: cluster.Environment | None = None,
        ports: Callable[[int], Sequence[int]] = cluster.free_ports,
        is_apart: bool = False,
    ) -> None:
        self.inbox: Inbox = queue.SimpleQueue()
        self._module, self._size, self._environment, self._ports = (
            module,
            size,
            environment or {},
            ports,
        )
        self._team: list[Child] = []
        self._resources = ExitStack()
        self._network = self._make_network() if is_apart and size > 1 else None

    def start(self) -> list[Child]:
        """The team; its standard error is this process's, or, where they are several, comes
        line by line.
        """
        if not self._team:
            addresses = [cluster.address(_HOST, port) for port in self._ports(self._size)]
            gpus = cluster.visible_gpus()
            for rank in range(self._size):
                own = cluster.environment(addresses, rank) | cluster.own_gpus(
                    gpus, self._size, rank
                )
                environment = {**self._environment, **own}
                self._team.append(
                    Child(
                        self._module, self.inbox, rank, environment, self._size > 1, self._network
                    )
                )
        return self._team

    def kill(self) -> None:
        while self._team:
            self._team.pop().kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._resources.close()

    def _make_network(self) -> PrivateNetwork | None:
        try:
            return self._resources.enter_context(PrivateNetwork())
        except OSError as error:
            log.warning(event("trainers_within_reach", because=error, advice=cluster.close_ports()))
            return None
