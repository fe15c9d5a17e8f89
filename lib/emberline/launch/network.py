"""A network of its own for the processes of one machine, with a loopback interface and nothing
else.

TensorFlow's server listens on all interfaces and does what anybody asks who reaches it. In a
network namespace (Linux) its ports can be reached only by who was let in. Making one takes root's
rights, or a user namespace, where the system allows them.

As a program: `make` makes a network and keeps it until its standard input ends, `enter
DESCRIPTOR... -- COMMAND` runs in it.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

_NEW_NETWORK, _NEW_USERS = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER
_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS, IFF_UP
_PROGRAM = (sys.executable, "-m", "emberline.launch.network")
_READY = b"ready\n"


class PrivateNetwork:
    """The network is there from the start of the context to its end, and as long as processes
    are in it. Raises OSError.
    """

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        path = os.pathsep.join(path for path in sys.path if path)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(
            [*_PROGRAM, "make"], env={**os.environ, "PYTHONPATH": path}, **pipes
        ) as keeper:  # type: ignore[call-overload]
            assert keeper.stdout and keeper.stderr
            if keeper.stdout.readline() != _READY:
                raise OSError(
                    keeper.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                    or "it cannot be made"
                )
            own, its = Path("/proc/self/ns"), Path(f"/proc/{keeper.pid}/ns")
            # in this order: rights in the one allow to enter the other
            for name in ("user", "net"):
                if (own / name).readlink() != (its / name).readlink():
                    self._descriptors.append(os.open(its / name, os.O_RDONLY | os.O_CLOEXEC))
        return self

    def __exit__(self, *error: object) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a process has to inherit to enter."""
        return tuple(self._descriptors)

    def command(self, command: list[str]) -> list[str]:
        """The command, run in the network."""
        return [*_PROGRAM, "enter", *map(str, self._descriptors), "--", *command]


def main(arguments: list[str]) -> None:
    """What the module does as a program."""
    try:
        if arguments[0] == "make":
            _make()
        else:
            _enter(*_split(arguments[1:]))
    except OSError as error:
        sys.exit(f"{error.strerror or error}")


def _split(arguments: list[str]) -> tuple[list[int], list[str]]:
    end = arguments.index("--")
    return list(map(int, arguments[:end])), arguments[end + 1 :]


def _make() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", _NEW_NETWORK)
    except PermissionError:
        if user == 0:  # in a user namespace, root could not read others' files any more
            raise
        _call("unshare", _NEW_USERS | _NEW_NETWORK)
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            Path("/proc/self", name).write_text(content)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    sys.stdout.buffer.write(_READY)
    sys.stdout.flush()
    sys.stdin.buffer.read()


def _enter(descriptors: list[int], command: list[str]) -> None:
    for descriptor in descriptors:
        _call("setns", descriptor, 0)
        os.close(descriptor)
    os.execv(command[0], command)


def _call(function: str, *arguments: int) -> None:
    """A function of the C library that Python 3.11 does not have. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])
