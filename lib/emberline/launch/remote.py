"""A team on other machines, as the driver sees it: agents connect, and are told of each other
when all of them are there.
"""

import hmac
import logging
import secrets
import socket
import threading
from contextlib import suppress

from emberline.errors import WorkerError
from emberline.launch import cluster
from emberline.launch.agent import keep_alive, send
from emberline.launch.child import Inbox, understood
from emberline.launch.messages import Begin, Ended, Introduction, Message
from emberline.logs import event

log = logging.getLogger(__name__)
_INTRODUCTION_SECONDS = 10.0
_INTRODUCTION_BYTES = 10_000
_GONE = "is gone: the connection has ended, its executor or its machine was lost"


class Remote:
    """A member behind a connection, or one that has not come yet: what it is sent, waits for it."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.host = "a machine that has not answered"
        self.address = ""
        self._connection: socket.socket | None = None
        self._waiting: list[Message] = []
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Nothing happens where the connection has ended: the inbox says so."""
        with self._sending:
            if self._connection is None:
                self._waiting.append(message)
                return
            with suppress(OSError):
                send(self._connection, message)

    def connect(self, connection: socket.socket, environment: cluster.Environment) -> None:
        """Have its process started; from now on, what it is sent goes there."""
        with self._sending, suppress(OSError):
            for message in (Begin(environment), *self._waiting):
                send(connection, message)
            self._connection = connection


class Meeting:
    """Where the agents of one team come to; each attempt has a meeting, and so a port and a
    token, of its own.
    """

    def __init__(self, size: int, inbox: Inbox, host: str) -> None:
        self.members = [Remote(rank) for rank in range(size)]
        self.token = secrets.token_hex(32)
        self._inbox = inbox
        self._server = socket.create_server((host, 0), family=_family(host), backlog=size + 8)
        self.port: int = self._server.getsockname()[1]
        self._arrived: dict[Remote, socket.socket] = {}
        self._arriving = threading.Lock()
        self._is_over = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_complete(self) -> bool:
        return len(self._arrived) == len(self.members)

    def close(self) -> None:
        """Agents end their processes when their connection ends."""
        with self._arriving:
            self._is_over = True
            connections = list(self._arrived.values())
        for each in (self._server, *connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._receive, args=(connection,), daemon=True).start()

    def _receive(self, connection: socket.socket) -> None:
        """Let an agent in, then pass on what its process says."""
        with connection:
            member = None
            with suppress(OSError, WorkerError), connection.makefile("rb") as lines:
                connection.settimeout(_INTRODUCTION_SECONDS)
                introduction = _introduction(lines.readline(_INTRODUCTION_BYTES), connection)
                member = self._admit(connection, introduction)
                connection.settimeout(None)
                while member and (line := lines.readline()).endswith(b"\n"):
                    self._inbox.put((member, understood(line)))
            if member and not self._is_over:
                self._inbox.put((member, Ended(_GONE)))

    def _admit(self, connection: socket.socket, introduction: Introduction) -> Remote | None:
        """The member that the agent speaks for; None for a stranger, or for one that is here
        already. The last one starts all.
        """
        if not hmac.compare_digest(introduction.token.encode(), self.token.encode()):
            return None
        keep_alive(connection)
        if not 0 <= introduction.rank < len(self.members):
            return None
        member = self.members[introduction.rank]
        with self._arriving:
            if self._is_over or member in self._arrived:
                return None
            member.host, member.address = introduction.host, introduction.address
            self._arrived[member] = connection
            if self.is_complete:
                addresses = [each.address for each in self.members]
                for each, its in self._arrived.items():
                    each.connect(its, cluster.environment(addresses, each.rank))
        return member


def _introduction(line: bytes, connection: socket.socket) -> Introduction:
    """Who has come. Raises WorkerError for what is no introduction, or one of another version:
    whoever waits for that agent finds in the log why it does not come.
    """
    try:
        return Introduction.from_line(line)
    except WorkerError as error:
        if line:  # else a look whether the port is open
            host = connection.getpeername()[0]
            log.warning(event("agent_refused", host=host, because=error))
        raise


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
