"""Outside ids as a root has them, where it has pseudonyms and their key is at hand."""

import os
from collections.abc import Mapping

from emberline.cleaning.pseudonyms import Key
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.runs import keys
from emberline.runs.private import KEY, PSEUDONYMS
from emberline.sections.privacy import SIDES, PrivacyConfig
from emberline.serving.names import Side, tables_in


def inside_id(
    root: Location,
    side: Side,
    outside: str,
    key_file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """What tables of a root have instead of an outside id: the same, or its pseudonym; without a
    key it has to be the pseudonym. Raises ConfigError for another key than the root's.
    """
    if not any(manifests.exists(root, name) for name in (f"{side}s", f"{side}_attributes")):
        return outside  # who asks for its list says what is missing
    made = next(iter(tables_in(root, side).values())).manifest.produced_by
    if side not in SIDES[made.privacy.get(PSEUDONYMS, "none")]:
        return outside
    key = _key(key_file, environment)
    if key is None:
        return outside
    if key.fingerprint != made.privacy.get(KEY):
        raise ConfigError(
            f"{root} was made with the key of fingerprint {made.privacy.get(KEY)}, and this key's"
            f" is {key.fingerprint}: give the key that it was made with"
        )
    return key.pseudonym(side, outside)


def _key(key_file: str | None, environment: Mapping[str, str]) -> Key | None:
    if key_file is not None:
        return keys.read(storage.locate(key_file), "--key-file")
    if keys.VARIABLE not in environment:
        return None
    return keys.key_of(PrivacyConfig(pseudonyms="users"), environment)
