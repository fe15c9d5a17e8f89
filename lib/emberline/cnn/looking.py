"""Which pixels of an item's picture the network's answer is made by: its class, or a user's
score.
"""

from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from emberline.cnn.attribution import grad_cam, integrated_gradients, most_important
from emberline.cnn.model_file import load_model
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Classes, Pictures, Task
from emberline.datasets.rows import rows_where
from emberline.datasets.storage import Location
from emberline.errors import DataError
from emberline.models import ALS, CNN, refitted
from emberline.numeric.arrays import Float32, UInt8
from emberline.serving.names import tables_in

Way = Literal["gradients", "cam"]
_SHARE = 0.1


@dataclass(frozen=True)
class Looked:
    """A picture (height, width, channels), the heat over it (height, width), and what it is of, in
    a sentence.
    """

    pixels: UInt8
    heat: Float32
    said: str


def look(root: Location, item_id: str, user_id: str | None, way: Way) -> Looked:
    """The pixels of an item's picture that speak for its class, or for a user's score.

    Raises DataError for an item without a picture, for a user without factors, and where a user is
    needed or is none of the network's business; ManifestError where a dataset is missing.
    """
    shards = manifests.load(root, "shards_all")
    model = load_model(manifests.load(root, CNN.name))
    found = rows_where(shards, "item_id", [item_id], ["pixels"]).to_pylist()
    if not found:
        raise DataError(f"there is no picture of an item {item_id!r} in {shards.folder}")
    shape = shards.manifest.facts(Pictures).shape
    pixels = np.frombuffer(found[0]["pixels"], np.uint8).reshape(1, *shape)
    if shards.manifest.facts(Task).task == "class":
        if user_id is not None:
            raise DataError(f"the network of {root} predicts classes: leave out the user")
        outputs = model(pixels, training=False).numpy()
        weights = np.eye(outputs.shape[1], dtype=np.float32)[outputs.argmax(axis=1)]
        what = f"class {shards.manifest.facts(Classes).classes[int(outputs.argmax())]!r}"
    else:
        weights = _factors_of(root, user_id)[None]
        what = f"user {user_id!r}"
    return _looked(model, pixels, weights, way, what)


def _looked(model: keras.Model, pixels: UInt8, weights: Float32, way: Way, what: str) -> Looked:
    found = integrated_gradients(model, pixels, weights)
    heat = found.pixels if way == "gradients" else grad_cam(model, pixels, weights)
    size = np.abs(heat)
    held = float(size[most_important(heat, _SHARE)].sum() / max(size.sum(), 1e-12))
    said = (
        f"{what}: score {found.scores[0]:.3f}, of the background alone {found.without[0]:.3f};"
        f" a tenth of the pixels holds {held:.0%} of the heat"
    )
    return Looked(pixels[0], heat[0], said)


def _factors_of(root: Location, user_id: str | None) -> Float32:
    if user_id is None:
        raise DataError(f"the network of {root} predicts factors: say whose score by --user")
    own, _ = ALS.lists
    name = refitted(own) if manifests.exists(root, refitted(own)) else own
    factors = manifests.load(root, name)
    for table in tables_in(root, "user").values():
        for row in rows_where(table, "user_id", [user_id], ["user"]).to_pylist():
            known = rows_where(factors, "user", [row["user"]], ["factors"]).to_pylist()
            if known:
                return np.array(known[0]["factors"], np.float32)
    raise DataError(f"there are no factors of a user {user_id!r} in {factors.folder}")
