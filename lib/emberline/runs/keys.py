"""The key of pseudonyms: read from its file or from the environment, never written or shown."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from emberline.cleaning.pseudonyms import Key
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.logs import hide
from emberline.sections.privacy import PrivacyConfig

VARIABLE = "EMBERLINE_KEY"
_LEAST, _MOST = 32, 4096  # characters
_MAKE = "emberline key FILE makes one"


def key_of(config: PrivacyConfig, environment: Mapping[str, str] = os.environ) -> Key:
    """The key of a pipeline's pseudonyms. Raises ConfigError where there is none, or it is too
    short to be one.
    """
    if config.key_file is not None:
        return read(storage.locate(config.key_file), "privacy.key_file")
    text = environment.get(config.key_variable)
    if text is None:
        raise ConfigError(
            f"privacy.pseudonyms needs a key, and there is none: set privacy.key_file, or the"
            f" environment variable {config.key_variable}; {_MAKE}"
        )
    return _parse(text, f"the environment variable {config.key_variable}")


def read(path: Location, setting: str) -> Key:
    """The key that a file holds. Raises ConfigError as `key_of`."""
    try:
        text = path.read_bytes()[: _MOST + 1].decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{setting}: there is no file {path}; bring the key that this root was made with, or,"
            f" for a new root, {_MAKE}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {path} cannot be read as a key ({error})") from None
    return _parse(text, f"{setting} ({path})")


def _parse(text: str, place: str) -> Key:
    written = text.strip()
    if not _LEAST <= len(written) <= _MOST or len(written.splitlines()) != 1:
        raise ConfigError(
            f"{place} is not a key: expected one line of {_LEAST} to {_MOST} characters, found"
            f" {len(written.splitlines())} lines of {len(written)}; {_MAKE}"
        )
    hide([written])
    return Key(written.encode())


def make(path: Path) -> Key:
    """Write a new key that its owner alone may read. Raises ConfigError where there is a file."""
    text = secrets.token_hex(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already, and is not replaced: roots may have been made with it"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
    return Key(text.encode())
