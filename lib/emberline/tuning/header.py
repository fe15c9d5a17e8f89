"""What a study is, as its file says it: who goes on with one has to mean the same."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emberline.datasets import storage, typed_json
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, DataError
from emberline.tuning.space import Parameter

FILE = "study.json"


@dataclass(frozen=True)
class Header:
    """What decides on a study's trials, but how many there are. `settings` are the pipeline's,
    `budgets` what trials may have of the setting `rationed`, [0] where none is;
    `prepared` are the fingerprints of the datasets that all trials share.
    """

    pipeline: str
    metric: str
    model: str
    lower_is_better: bool
    seed: int
    parallel: int
    rationed: str | None
    budgets: list[int]
    space: list[Parameter]
    settings: dict[str, Any] = field(default_factory=dict)
    prepared: dict[str, str] = field(default_factory=dict)


def read(study: Location) -> Header | None:
    """The header of a study that has begun. Raises DataError for a file that is none."""
    path = study / FILE
    try:
        return typed_json.build(Header, typed_json.read(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path} is no study ({error}); give another folder by --study") from error


def begin(study: Location, header: Header) -> None:
    """Write what the study is, or see that it is the one that was begun. Raises ConfigError, which
    says what differs.
    """
    if read(study) is None:
        storage.replace_file(study / FILE, json.dumps(asdict(header), indent=1).encode())
    check(study, header)


def check(study: Location, header: Header) -> None:
    """Raises ConfigError where another study was begun here; what is `prepared` counts where it is
    known.
    """
    before = read(study)
    if before is None:
        return
    if not header.prepared:
        before = replace(before, prepared={})
    now, then = (_plain(one) for one in (header, before))
    differing = [_differs(key, then, now) for key in then | now if now.get(key) != then.get(key)]
    if differing:
        raise ConfigError(
            f"the study in {study} was begun with {'; '.join(differing)}; give another folder by"
            " --study, or begin it anew by removing this one"
        )


def _plain(header: Header) -> dict[str, Any]:
    """Its keys and values, those of the settings one by one."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(header)))
    settings, prepared = content.pop("settings"), content.pop("prepared")
    return content | _flat(settings, "") | _flat(prepared, "the dataset ")


def _flat(settings: Mapping[str, Any], above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{above}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def _differs(key: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Such as seed = 1, not 2."""
    if key == "space" or key.startswith("the dataset "):
        return f"another {key.removeprefix('the ')}"
    return f"{key} = {then.get(key)!r}, not {now.get(key)!r}"
