"""What [privacy], its key and the people who were forgotten decide in a root."""

from collections.abc import Callable, Mapping
from typing import Any

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import ProducedBy
from emberline.datasets.storage import Location, locate
from emberline.errors import ConfigError, EmberlineError
from emberline.runs import keys, tombstones
from emberline.runs.roots import Roots, absolute
from emberline.runs.tombstones import Tombstones
from emberline.sections.config import Config
from emberline.sections.privacy import SIDES
from emberline.sections.stage import Stage

# what has ids of a side
_TABLES = {
    "user": ("users", "user_attributes"),
    "item": ("items", "item_attributes", "images", "sounds"),
}
PSEUDONYMS, KEY, FORGOTTEN = "pseudonyms", "key", "forgotten"


def forgotten_in(roots: Roots) -> list[Tombstones]:
    """Of the root and its base, where anybody was forgotten there."""
    found = (tombstones.read(place) for place in roots.places)
    return [each for each in found if each is not None]


def decided(config: Config, stage: Stage, roots: Roots) -> dict[str, Any]:
    """What decides on a stage's result besides its settings; what is usual is left out."""
    found = stage.privacy(config)
    if PSEUDONYMS in found and config.privacy is not None:
        found[KEY] = keys.key_of(config.privacy).fingerprint
    if stage.reads_ids and (gone := tombstones.identity(forgotten_in(roots))):
        found[FORGOTTEN] = gone
    return found


def file_name(config: Config, stage: Stage) -> Callable[[str], str]:
    """What a root calls the raw files of a stage, by their paths: where they are named by the ids
    of items that have pseudonyms, it is a pseudonym, too.
    """
    named = "item_pseudonyms" in stage.private and PSEUDONYMS in stage.privacy(config)
    if not named or config.privacy is None:
        return lambda path: path
    return keys.key_of(config.privacy).file_name


def check(config: Config, roots: Roots) -> None:
    """Raises ConfigError where the key is missing, lies in the root, or is not the one that ids
    there were made with; and where these are not what the pipeline says.
    """
    sides = config.privacy.sides if config.privacy else frozenset[str]()
    now = {}
    if config.privacy is not None and sides:
        now = {PSEUDONYMS: config.privacy.pseudonyms, KEY: keys.key_of(config.privacy).fingerprint}
        _check_apart(config.privacy.key_file, roots)
    for place in roots.places:
        for side, names in _TABLES.items():
            for name in names:
                if made := _made(place, name):
                    _check_same(side, place / name, made.privacy, now)


def _check_apart(key_file: str | None, roots: Roots) -> None:
    for place in roots.places:
        if key_file and absolute(locate(key_file)).startswith(f"{absolute(place)}/"):
            raise ConfigError(
                f"privacy.key_file {key_file} is in {place}, where whoever reads pseudonyms reads"
                " it, too: keep it elsewhere"
            )


def _made(place: Location, name: str) -> ProducedBy | None:
    """By what a dataset was made; None where it is not there, or damaged, which its readers will
    say.
    """
    try:
        return manifests.load(place, name).manifest.produced_by
    except EmberlineError:
        return None


def _check_same(
    side: str, place: Location, then: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    had, has = (side in SIDES[each.get(PSEUDONYMS, "none")] for each in (then, now))
    if had != has:
        was, wanted = ("pseudonyms" if one else f"{side}s' ids as they are" for one in (had, has))
        raise ConfigError(
            f"{place} has {was}, and privacy.pseudonyms asks for {wanted}, which would be others:"
            " give a new root by --root, and remove this one when that is made"
        )
    if had and then.get(KEY) != now[KEY]:
        raise ConfigError(
            f"{place} was made with the key of fingerprint {then.get(KEY)}, and this key's is"
            f" {now[KEY]}: give the former key, or a new root by --root, in which everybody is new"
        )
