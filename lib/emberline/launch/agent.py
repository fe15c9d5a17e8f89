"""What a task on another machine does: it starts a process for the driver, and ends it when the
connection ends.

Both sides speak lines of JSON. This one begins with who and where it is; the answer is the
process's environment, and then come requests for it. What the process says goes back.
"""

import queue
import socket
import sys
import threading
from contextlib import suppress

from emberline.launch import cluster
from emberline.launch.child import Child, Inbox
from emberline.launch.messages import Begin, Ended, Introduction, Message, message_of

_CONNECT_SECONDS = 30.0
# a machine that vanished is noticed in half a minute
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


def serve(
    driver: tuple[str, int], token: str, rank: int, module: str, environment: cluster.Environment
) -> None:
    """Run a process of `module` for the driver until that one closes the connection, or is gone."""
    with (
        socket.create_connection(driver, _CONNECT_SECONDS) as connection,
        connection.makefile("rb") as lines,
    ):
        connection.settimeout(None)
        keep_alive(connection)
        (port,) = cluster.free_ports(1)
        here = cluster.address(connection.getsockname()[0], port)
        send(connection, Introduction(token, rank, socket.gethostname(), here))
        answer = lines.readline()
        if not answer:
            return
        inbox: Inbox = queue.SimpleQueue()
        begin = Begin.from_line(answer)
        child = Child(module, inbox, rank, {**environment, **begin.environment}, capture=True)
        try:
            threading.Thread(target=_relay, args=(inbox, connection), daemon=True).start()
            with suppress(ConnectionError):
                for line in lines:
                    child.send(message_of(line))
        finally:
            child.kill()


def _relay(inbox: Inbox, connection: socket.socket) -> None:
    """What the process says, to its end; where the driver has gone, whoever reads from there is
    told so.
    """
    try:
        while True:
            _, message = inbox.get()
            send(connection, message)
            if isinstance(message, Ended):
                return
    except OSError:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def send(connection: socket.socket, message: Message) -> None:
    connection.sendall(message.to_line())


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel look now and then whether the other side is still there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for name, value in _KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
