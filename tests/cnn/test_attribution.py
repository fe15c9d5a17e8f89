"""Which pixels matter to a network: beside the difference that they add up to, and beside those
that a made-up shop is liked by.
"""

import keras
import numpy as np
import pytest

from emberline.cnn.attribution import grad_cam, integrated_gradients, most_important
from emberline.cnn.model import build, with_frozen_layer
from emberline.numeric.arrays import Float32
from emberline.sections.cnn import CnnConfig
from emberline.shop.catalogue import COLOURS, SHAPES, SIZES, TEXTURES, Catalogue, make_catalogue
from emberline.shop.pictures import SIDE, draw, item_pixels

SHAPE = (SIDE, SIDE, 3)
RNG = np.random.default_rng(5)


def network(name: str, outputs: int) -> keras.Model:
    config = CnnConfig.model_validate({"model": name})
    return build(config, SHAPE, [0.5] * 3, [0.25] * 3, outputs)


pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize("name", ["cifar", "resnet"])
def test_pixels_add_up_to_the_score_less_that_of_a_plain_picture(name: str) -> None:
    model = with_frozen_layer(network(name, 3), RNG.normal(size=(3, 5)), np.zeros(5))
    pictures = draw(make_catalogue(6, seed=3))
    weights = RNG.normal(size=(6, 5)).astype(np.float32)
    found = integrated_gradients(model, pictures, weights)
    scores = (model(pictures, training=False).numpy() * weights).sum(axis=1)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)
    plain = np.broadcast_to(np.median(pictures, axis=(1, 2), keepdims=True), pictures.shape)
    without = (model(plain.astype(np.uint8), training=False).numpy() * weights).sum(axis=1)
    np.testing.assert_allclose(found.without, without, rtol=1e-4, atol=1e-5)
    assert found.gaps.max() < 0.01


def test_heat_is_where_the_only_thing_is_that_a_network_sees() -> None:
    """A network whose score is how red a quarter is."""
    pictures = np.zeros((2, *SHAPE), np.uint8)
    pictures[0, :16, :16, 0], pictures[1, 16:, 16:, 0] = 255, 255
    inputs = keras.Input(SHAPE, dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255, name="scaled")(inputs)
    red = keras.layers.Conv2D(1, 2, 2, "same", use_bias=False, name="red")
    pooled = keras.layers.GlobalAveragePooling2D(name="embedding")(red(scaled))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="outputs")(pooled))
    kernel = np.zeros((2, 2, 3, 1), np.float32)
    kernel[..., 0, 0] = 0.25
    red.set_weights([kernel])
    model.get_layer("outputs").set_weights([np.ones((1, 1), np.float32)])
    weights = np.ones((2, 1), np.float32)
    for heat in (
        grad_cam(model, pictures, weights),
        integrated_gradients(model, pictures, weights).pixels,
    ):
        assert heat[0, :15, :15].min() > 0 and heat[1, 17:, 17:].min() > 0
        assert heat[0, 18:, 18:].max() < 1e-6 and heat[1, :14, :14].max() < 1e-6


def liking(catalogue: Catalogue) -> Float32:
    """Factors (n, 8) that everything which can be seen of items adds to."""
    rng, total = np.random.default_rng(7), np.zeros((len(catalogue), 8))
    for name, kinds in (
        ("shape", SHAPES),
        ("texture", TEXTURES),
        ("colour", COLOURS),
        ("size", SIZES),
    ):
        total += rng.normal(size=(len(kinds), 8))[getattr(catalogue, name)]
    return total.astype(np.float32)


@pytest.mark.faults
def test_what_matters_most_to_a_trained_network_shows_the_item() -> None:
    known, others = make_catalogue(1500, seed=1), make_catalogue(200, seed=2)
    model = network("resnet", 8)
    model.compile(keras.optimizers.AdamW(0.003), "mse")
    model.fit(draw(known), liking(known), batch_size=16, epochs=8, verbose=0)
    pictures = draw(others)
    users = RNG.normal(size=(len(others), 8)).astype(np.float32)
    found = integrated_gradients(model, pictures, users)
    shown = item_pixels(others)
    hits = [
        (most_important(heat, 0.1) & shown).sum(axis=(1, 2)) / most_important(heat, 0.1).sum((1, 2))
        for heat in (found.pixels, grad_cam(model, pictures, users))
    ]
    predicted = model.predict(pictures, verbose=0)
    explained = 1 - ((predicted - liking(others)) ** 2).mean() / liking(others).var()
    print("share of the factors that the network knows:", explained)
    for name, share in zip(("integrated gradients", "Grad-CAM"), hits, strict=True):
        print(name, "mean share", share.mean(), "more than half in", (share > 0.5).mean())
    print("chance:", shown.mean(), "largest gap:", found.gaps.max())
    assert (hits[0] > 0.5).mean() >= 0.8
    assert found.gaps.max() < 0.01
