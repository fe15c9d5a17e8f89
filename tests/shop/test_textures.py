"""The textures, by what a ruler would find in them."""

import numpy as np
import pytest

from emberline.shop.catalogue import TEXTURES
from emberline.shop.textures import second_tone

PITCH, RADIUS = np.array(6.0), np.array(20.0)
SIDE = 198  # pixels: whole periods of every pattern
X, Y = np.meshgrid(np.arange(-SIDE / 2, SIDE / 2, 0.3), np.arange(-SIDE / 2, SIDE / 2, 0.3))


@pytest.fixture(scope="module", params=TEXTURES)
def texture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_tone_is_a_share(texture: str) -> None:
    tone = second_tone(texture, X, Y, PITCH, RADIUS)
    assert tone.shape == X.shape
    assert 0 <= tone.min() <= tone.max() <= 1


@pytest.mark.parametrize(
    ("patterned", "share"), [("striped", 0.5), ("checked", 0.5), ("dotted", np.pi * 0.36**2)]
)
def test_patterns_show_about_as_much_of_the_second_tone(patterned: str, share: float) -> None:
    assert second_tone(patterned, X, Y, PITCH, RADIUS).mean() == pytest.approx(share, abs=0.02)


def test_only_plain_items_have_one_tone(texture: str) -> None:
    tone = second_tone(texture, X, Y, PITCH, RADIUS)
    assert (np.ptp(tone) == 0) == (texture == "plain")


def test_stripes_and_fades_run_straight_across(texture: str) -> None:
    along_x = np.ptp(second_tone(texture, X, Y, PITCH, RADIUS), axis=1).max()
    assert (along_x == 0) == (texture in {"plain", "striped", "faded"})


def test_patterns_repeat_and_fades_do_not(texture: str) -> None:
    period = {"dotted": 1.1, "checked": 1.5}.get(texture, 1.0) * PITCH
    here, there = (second_tone(texture, X, Y + moved, PITCH, RADIUS) for moved in (0, period))
    assert np.allclose(here, there) == (texture != "faded")


def test_neighbouring_checks_differ() -> None:
    half = PITCH * 1.5 / 2
    here, beside = (second_tone("checked", X + moved, Y, PITCH, RADIUS) for moved in (0, half))
    assert np.allclose(here + beside, 1)
