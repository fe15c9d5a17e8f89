"""A process beside a task of Spark's that runs a whole trial, as it would run on this machine
alone.
"""

import signal
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from emberline.datasets import manifest as manifests
from emberline.datasets import storage, typed_json
from emberline.errors import EmberlineError
from emberline.launch.child import Requests
from emberline.launch.messages import Done, Failed
from emberline.pipelines import with_setting
from emberline.runs.engines import Engines
from emberline.tuning.aim import Aim
from emberline.tuning.measuring import BASE, Measuring


@dataclass(frozen=True)
class Errand:
    """A trial: the study's folder, its pipeline and what of it is varied, the trial's parameters
    and its root, and on how many cores it runs. Without a root it is asked whether the study's base
    can be read from here, which has the dataset `name`.
    """

    folder: str
    name: str
    content: dict[str, Any]
    aim: Aim
    varied: list[str]
    parameters: dict[str, Any]
    root: str
    cores: int


def main() -> None:
    """Answer requests until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    requests = Requests()
    for request in requests:
        try:
            requests.send(Done(_answer(typed_json.build(Errand, request, "request"))))
        except EmberlineError as error:
            requests.send(Failed.of(error))


def _answer(errand: Errand) -> dict[str, Any]:
    """The metric's row, as JSON."""
    folder = storage.locate(errand.folder)
    if not errand.root:
        manifests.load(folder / BASE, errand.name)
        return {}
    storage.remove_folder(folder / errand.root)  # what a task that was lost has left
    content = with_setting(errand.content, ("spark.engine", "here"))
    content = with_setting(content, ("spark.master", f"local[{errand.cores}]"))
    with threadpool_limits(1), Engines() as engines:
        here = Measuring(
            folder, errand.name, content, errand.aim, frozenset(errand.varied), engines
        )
        return here.measure(errand.parameters, errand.root).to_json()


if __name__ == "__main__":
    main()
