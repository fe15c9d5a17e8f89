"""TensorFlow, which comes with an extra of the package, since only networks need it: whether it
is here, and how to get it.
"""

from importlib.util import find_spec

TRAIN = "train"
REMEDY = f"pip install 'emberline[{TRAIN}]'"


def has_tensorflow() -> bool:
    """Whether TensorFlow could be imported, without doing so."""
    return find_spec("tensorflow") is not None
