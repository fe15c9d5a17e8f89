"""A trainer process: runs the stages it is told to, one after the other, alone or as one of
several.
"""

import os
import signal
import threading
import traceback
from dataclasses import asdict
from typing import Any, NoReturn

from emberline import logs
from emberline.datasets import disk, storage, typed_json
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError, ManifestError, WorkerError
from emberline.launch import memory
from emberline.launch.child import Requests
from emberline.launch.messages import Done, Failed, Lost, PortTaken, Progress
from emberline.runs import package
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import Control, StageRun, begin
from emberline.sections.cnn import AGAINST_NO_MEMORY
from emberline.sections.config import Config
from emberline.stages import STAGES
from emberline.trainers import Answer, Given, Share

# what every stage here imports, TensorFlow with it
_SLOW = "emberline.cnn.train:run"
# all that TensorFlow says where it cannot bind to its own address
_NO_PORT = "Could not start gRPC server"


def main() -> None:
    """Answer requests until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    requests = Requests()
    package.resolve(_SLOW)  # before anybody asks
    for request in requests:
        _answer(typed_json.build(Share, request, "request"), requests)


def _answer(share: Share, requests: Requests) -> None:
    """Run one stage; an error that is none of ours, nor a peer's end, is a bug, and ends this
    process with its traceback.
    """
    try:
        logs.configure(share.verbosity)
        run = _stage_run(share, requests)
        package.resolve(run.stage.target)(run)
        outputs = {name: asdict(manifest) for name, manifest in run.outputs.manifests.items()}
        requests.send(Done(asdict(Answer(outputs, run.outputs.metrics))))
    except EmberlineError as error:
        requests.send(Failed.of(error))
    except Exception as error:
        if told := _of_the_machine(error, storage.locate(share.root)):
            requests.send(Failed.of(told))
            return
        if "TF_CONFIG" in os.environ and type(error).__module__.startswith("tensorflow."):
            _wait_for_the_end(error, requests)
        traceback.print_exc()
        os._exit(1)  # TensorFlow's threads would wait for other workers


def _of_the_machine(error: Exception, root: Location) -> EmberlineError | None:
    """What a full disk or too little memory did; to start again would end in the same way."""
    if refused := disk.refusal(error, root):
        return refused
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        first = str(error).partition("\n")[0] or "memory is used up"
        return WorkerError(
            f"TensorFlow ran out of memory ({memory.describe()}): {first}; {AGAINST_NO_MEMORY}"
        )
    return None


def _wait_for_the_end(error: Exception, requests: Requests) -> NoReturn:
    """One of several has lost the others: which one is to blame is for the parent to find out,
    who ends all of them.
    """
    text = str(error).partition("\n")[0]
    requests.send(PortTaken(text) if _NO_PORT in str(error) else Lost(text))
    while True:
        threading.Event().wait()


def _stage_run(share: Share, requests: Requests) -> StageRun[Any]:
    config = Config.model_validate_json(share.config)
    stage = next(stage for stage in STAGES if stage.name == share.stage)
    datasets = {name: _input(name, given) for name, given in share.inputs.items()}
    control = Control(lambda text: requests.send(Progress(text)), requests.stopping, requests.at)
    identity = (share.fingerprint, share.run_id)
    roots = Roots(storage.locate(share.root))
    return begin(config, stage, roots, Inputs(datasets), control, identity)


def _input(name: str, given: Given) -> Dataset:
    """An input of the stage. Raises ManifestError where it is not the one any more that was
    decided on: a base is not locked.
    """
    dataset = manifests.load(storage.locate(given.place), given.dataset)
    by = dataset.manifest.produced_by
    if (by.fingerprint, by.run_id) != (given.fingerprint, given.run_id):
        raise ManifestError(
            f"{name} in {given.place} was written anew (run {by.run_id}) after this stage was"
            f" decided on (run {given.run_id}); run it again"
        )
    return dataset


if __name__ == "__main__":
    main()
