"""What every kind of facts has in common: some fields of a manifest's `info`, from and to JSON."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Self

from emberline.datasets import typed_json


@dataclass(frozen=True)
class Facts:
    """Some fields of an `info`. One that is None, and may be left out, is not written."""

    @classmethod
    def from_json(cls, info: Mapping[str, Any]) -> Self:
        """These facts of an `info`, whatever else that says. Raises ValueError, which names the
        field, for one that is missing or ill-typed.
        """
        mine = {key: info[key] for key in cls.names() if key in info}
        return typed_json.build(cls, mine, "info")

    @classmethod
    def names(cls) -> list[str]:
        """The fields of an `info` that are these facts."""
        return [each.name for each in fields(cls)]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        given = {each: getattr(self, each.name) for each in fields(self)}
        return {
            each.name: typed_json.plain(value)
            for each, value in given.items()
            if value is not None or _is_needed(each)
        }


def _is_needed(of: "Field[Any]") -> bool:
    return of.default is MISSING and of.default_factory is MISSING
