"""The programs that a scheduler calls, as the shell in which somebody schedules finds them: a
scheduler has another PATH.
"""

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from emberline.errors import ConfigError

Command = tuple[str, ...]

_SYSTEM = ("/usr/local/bin", "/usr/bin", "/bin")  # the folders that a scheduler's PATH has
_CLUSTER = ("JAVA_HOME", "SPARK_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR")


@dataclass(frozen=True)
class Programs:
    """How the commands begin that run a pipeline, and that `submit` a script to Spark where
    this is wanted.
    """

    emberline: Command
    submit: Command | None


def find(submit: str | None = None) -> Programs:
    """The `emberline` beside the Python that runs this, and the command `submit`. Raises
    ConfigError where one is not there.
    """
    bin_folder = Path(sys.executable).absolute().parent
    environment = _environment([str(bin_folder)] if submit is not None else [])
    emberline = bin_folder / "emberline"
    if not emberline.is_file():
        raise ConfigError(
            f"{emberline} is not there: a schedule needs Emberline installed, and is made by the"
            " installed one"
        )
    submits = None if submit is None else (*environment, *_submit(submit, bin_folder))
    return Programs((*environment, str(emberline)), submits)


def _submit(text: str, bin_folder: Path) -> Command:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"--submit {text}: expected a command, quoted as for a shell ({error})"
        ) from None
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", "")])
    program = shutil.which(words[0], path=path) if words else None
    if program is None:
        raise ConfigError(
            f"--submit {text}: this program is not there; begin with spark-submit, or with its"
            " absolute path"
        )
    return (str(Path(program).absolute()), *words[1:])


def _environment(folders: list[str]) -> Command:
    """`env` with what a scheduler does not know of this shell: the cluster, and a PATH with
    `folders` and Java's.
    """
    values = [f"{name}={os.environ[name]}" for name in _CLUSTER if os.environ.get(name)]
    java = shutil.which("java")
    if java and not os.environ.get("JAVA_HOME") and str(Path(java).parent) not in _SYSTEM:
        folders = [*folders, str(Path(java).absolute().parent)]
    if folders:
        values.append(f"PATH={os.pathsep.join([*folders, *_SYSTEM])}")
    return ("/usr/bin/env", *values) if values else ()
