"""The stage prepare-images: pictures of any well-known kind as uint8 pixels of one size, under the
items' dense ids.

    read = kept + rejected

A picture that cannot be used is in `rejected_images` with its reason; none ends the stage.
"""

from emberline.flow.rows import Flow
from emberline.media import writing
from emberline.pictures.sources import encoded_of
from emberline.runs.stage_run import StageRun
from emberline.sections.images import ImagesConfig


def run(run: StageRun[ImagesConfig], flow: Flow) -> None:
    """Find, decode, judge, number and write."""
    with writing.names_hidden(run):
        encoded = encoded_of(flow, run.inputs.files(run.settings.path), run.settings)
        writing.write(flow, run, encoded, "images", "rejected_images")
