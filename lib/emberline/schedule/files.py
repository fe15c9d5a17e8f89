"""Which files a scheduler wants, and how they get into a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.schedule import airflow, cron, systemd
from emberline.schedule.job import Job

Scheduler = Literal["airflow", "cron", "systemd"]
SCHEDULERS: dict[Scheduler, Callable[[Job], dict[str, str]]] = {
    "airflow": airflow.files,
    "cron": cron.files,
    "systemd": systemd.files,
}


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write each file in one step, also over an older one; returns where. Raises ConfigError
    for a folder that cannot be used.
    """
    try:
        for name, content in files.items():
            storage.replace_file(folder / name, content.encode())
    except OSError as error:
        raise ConfigError(
            f"--to {folder}: {error.strerror}; give a folder that you may write to"
        ) from None
    return [folder / name for name in files]
