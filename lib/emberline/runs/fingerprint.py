"""What decides the result of a stage, as one sha256."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from emberline.datasets.manifest import ProducedBy
from emberline.runs.inputs import Inputs
from emberline.runs.package import code_hash
from emberline.sections.config import Config
from emberline.sections.stage import Stage


def fingerprint_of(config: Config, stage: Stage, inputs: Inputs) -> str:
    """sha256 of all that decides the stage's result."""
    content = {
        "stage": stage.name,
        "config": stage.what(config),
        "inputs": inputs.identities(),
        "raw": [_raw_identity(path, inputs) for path in stage.raw(config)],
        "code": code_hash(),
    }
    if inputs.privacy:
        content["privacy"] = inputs.privacy
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _raw_identity(path: str, inputs: Inputs) -> list[Any]:
    """What a stage knows of its raw files before it reads them; of an artifact's, which they
    are: the rest is its identity.
    """
    if path not in inputs.raw:
        return [path]
    return [[file.relative, file.size, file.modified] for file in inputs.raw[path].files]


def what_changed(config: Config, stage: Stage, inputs: Inputs, before: ProducedBy) -> list[str]:
    """The settings, inputs and code that are not those of the stage's last run."""
    now = _flatten(stage.what(config), stage.section)
    then = _flatten(before.config, stage.section)
    changes = [
        f"{key} was {then.get(key)!r}, is {now.get(key)!r}"
        for key in now | then
        if now.get(key) != then.get(key)
    ]
    changes += _privacy_changed(inputs.privacy, before.privacy)
    changes += [
        f"{name} is new"
        for name, identity in inputs.identities().items()
        if before.inputs.get(name) != identity
    ]
    if before.code != code_hash():
        changes.append("emberline's code changed")
    return changes


def _privacy_changed(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    changed = [name for name in {**now, **then} if now.get(name) != then.get(name)]
    told = {
        "forgotten": "people were forgotten",
        "key": "the key of pseudonyms is another",
    }
    return [
        told.get(name, f"privacy.{name} was {then.get(name)!r}, is {now.get(name)!r}")
        for name in changed
    ]


def _flatten(settings: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            _flatten(value, f"{prefix}.{key}")
            if isinstance(value, dict)
            else {f"{prefix}.{key}": value}
        )
    return flat
