"""Where a pipeline writes; and its base, which is read where the root lacks something."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.sections.config import Config


@dataclass(frozen=True)
class Roots:
    """The root, and perhaps a base, which is never written and never locked."""

    root: Location
    base: Location | None = None

    @classmethod
    def of(cls, config: Config, root: Location) -> "Roots":
        """A root, with the base that the pipeline says. Raises ConfigError where they overlap."""
        roots = cls(root, storage.locate(config.base) if config.base else None)
        roots.check()
        return roots

    def __str__(self) -> str:
        return f"{self.root}" if self.base is None else f"{self.root} or its base {self.base}"

    @property
    def places(self) -> list[Location]:
        """Where datasets are looked for, one place after the other."""
        return [self.root] if self.base is None else [self.root, self.base]

    def place_of(self, name: str) -> Location | None:
        """The first place that has the dataset."""
        return next((place for place in self.places if manifests.exists(place, name)), None)

    def place_of_all(self, names: Sequence[str]) -> Location:
        """Where a stage's outputs are: in the base where that has all of them and the root has
        none, and else in the root. What the root has hides what the base has.
        """
        is_in_root = any(manifests.exists(self.root, name) for name in names)
        if self.base is None or is_in_root:
            return self.root
        return self.base if all(manifests.exists(self.base, name) for name in names) else self.root

    def load(self, name: str) -> Dataset | None:
        """The dataset from the first place that has it; None where none has."""
        place = self.place_of(name)
        return None if place is None else manifests.load(place, name)

    def check(self) -> None:
        """Raises ConfigError where what is written would be in the base, or where the base is
        not there.
        """
        if self.base is None:
            return
        root, base = absolute(self.root), absolute(self.base)
        if root == base or base.startswith(f"{root}/"):
            raise ConfigError(
                f"the base {self.base} is the root {self.root} or inside it; a base is another"
                " root, which is only read"
            )
        if root.startswith(f"{base}/"):
            raise ConfigError(
                f"the root {self.root} is inside its base {self.base}, which is only read; set the"
                " root to another folder"
            )
        if not self.base.is_dir():
            raise ConfigError(
                f"the base {self.base} is not there; run a pipeline into it, or leave out base"
            )


def absolute(place: Location) -> str:
    """A place as text, without links and dots where it is on this machine."""
    return str(place.resolve() if isinstance(place, Path) else place).rstrip("/")
