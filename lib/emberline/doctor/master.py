"""Spark's master, as `spark.master` names it."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from emberline.doctor.check import Check, error, ok, reason

_NAME = "Spark's master"
_SECONDS = 3.0  # to wait for a connection
_YARN = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")


def check_master(master: str, environment: Mapping[str, str]) -> Check:
    """Whether a driver that starts here finds it."""
    if master.startswith("local"):
        return ok(_NAME, f"{master}: this machine")
    return _check_yarn(environment) if master == "yarn" else _check_address(master)


def _check_yarn(environment: Mapping[str, str]) -> Check:
    for name in _YARN:
        folder = environment.get(name)
        if folder and Path(folder).is_dir():
            return ok(_NAME, f"yarn, as {name} = {folder} says")
    found = f"yarn, but neither {' nor '.join(_YARN)} names a folder"
    return error(_NAME, found, f"set {_YARN[0]} to the folder with the cluster's yarn-site.xml")


def _check_address(master: str) -> Check:
    refusals = []
    for place in re.sub(r"^(k8s|spark)://", "", master).split(","):
        try:
            host, port = _address(place, 443 if master.startswith("k8s://") else 7077)
            with socket.create_connection((host, port), _SECONDS):
                return ok(_NAME, f"{master}: {host}:{port} takes connections")
        except (OSError, ValueError) as refusal:
            refusals.append(f"{place}: {reason(refusal)}")
    return error(_NAME, "; ".join(refusals), "start it, or correct spark.master")


def _address(place: str, default: int) -> tuple[str, int]:
    """Host and port of HOST:PORT or https://HOST:PORT."""
    parts = urlsplit(place if "://" in place else f"//{place}")
    return parts.hostname or "", parts.port or default
