"""The server: where it listens, and how it ends."""

import os
import socket

import uvicorn

from emberline.errors import ConfigError
from emberline.serving.recommender import Recommender
from emberline.web.app import Service


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections there; port 0 takes any that is free. Raises ConfigError
    where it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror  # of names, below 0
        raise ConfigError(
            f"nobody can listen at {host}, port {port}: {why}; give another --host or --port"
        ) from error


def serve(recommender: Recommender, taken: socket.socket) -> None:
    """Answer until SIGTERM or Ctrl-C; requests that have begun are answered first."""
    config = uvicorn.Config(
        Service(recommender).app(), log_level="warning", access_log=False, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[taken])
