"""The stage prepare-sounds: sounds of any well-known kind as log-mel spectrograms of one size,
under the items' dense ids.

    read = kept + rejected

A sound that cannot be used is in `rejected_sounds` with its reason; none ends the stage.
"""

from emberline.flow.rows import Flow
from emberline.media import writing
from emberline.recordings.sources import encoded_of
from emberline.runs.stage_run import StageRun
from emberline.sections.sounds import SoundsConfig


def run(run: StageRun[SoundsConfig], flow: Flow) -> None:
    """Find, decode, transform, judge, number and write."""
    with writing.names_hidden(run):
        encoded = encoded_of(flow, run.inputs.files(run.settings.path), run.settings)
        writing.write(flow, run, encoded, "sounds", "rejected_sounds")
        run.outputs.finish("sounds", run.settings.spectrograms)
