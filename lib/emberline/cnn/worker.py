"""The child process of `emberline.cnn.engine`: runs the stages it is told to, one after the other."""

import signal
from dataclasses import asdict
from typing import Any

from emberline import logs, runner
from emberline.config import Config
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.errors import EmberlineError
from emberline.launch.child import Requests, error_message
from emberline.runner import StageRun
from emberline.stages import STAGES


def main() -> None:
    """Answer requests until the parent goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    requests = Requests()
    for request in requests:
        _answer(request, requests)


def _answer(request: dict[str, Any], requests: Requests) -> None:
    """Run one stage; an error that is none of ours is a bug, and ends this process with its traceback."""
    try:
        logs.configure(request["verbosity"])
        run = _stage_run(request, requests)
        runner.resolve(run.stage.target)(run)
        outputs = {name: asdict(manifest) for name, manifest in run.outputs.items()}
        requests.send(done=True, outputs=outputs, metrics=run.metrics)
    except EmberlineError as error:
        requests.send(done=True, error=error_message(error))


def _stage_run(request: dict[str, Any], requests: Requests) -> StageRun:
    config = Config.model_validate_json(request["config"])
    stage = next(stage for stage in STAGES if stage.name == request["stage"])
    root = storage.locate(request["root"])
    inputs = {name: manifests.load(root, name) for name in stage.reads(config)}
    manifests.check_same_run(inputs.values())
    return StageRun(
        config,
        stage,
        root,
        inputs,
        request["fingerprint"],
        request["run_id"],
        progress=lambda text: requests.send(progress=text),
    )


if __name__ == "__main__":
    main()
