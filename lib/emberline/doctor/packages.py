"""Installed versions beside those that are needed, as the packages' own metadata say it."""

import importlib.metadata
import platform
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from emberline.doctor.check import Check, error, ok, warning

SHOWN = {
    "pyspark": "Spark",
    "tensorflow-cpu": "TensorFlow",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "pyarrow": "pyarrow",
    "pandas": "pandas",
    "numpy": "NumPy",
}
# Two builds of one package: either will do.
_OTHER_BUILD = {"tensorflow-cpu": "tensorflow", "tensorflow": "tensorflow-cpu"}


@dataclass(frozen=True)
class Demand:
    """What the distribution `by` needs of another one."""

    by: str
    requirement: Requirement


Demands = dict[str, list[Demand]]


def check_packages(distribution: str = "emberline", extras: Collection[str] = ()) -> list[Check]:
    """Python, each framework, and all other packages together, as `distribution` with `extras`
    and what it needs demand them.
    """
    if version_of(distribution) is None:
        remedy = f"install it: make setup, or pip install {distribution}"
        return [
            warning(
                "packages",
                f"{distribution} is not installed, so that what it needs is unknown",
                remedy,
            )
        ]
    demands = demands_of(distribution, extras)
    shown = {name: asked for name, asked in demands.items() if name in SHOWN}
    others = {name: asked for name, asked in demands.items() if name not in SHOWN}
    lines = [check_package(SHOWN[name], name, asked) for name, asked in shown.items()]
    return [
        check_python(distribution),
        *sorted(lines, key=_place),
        check_others(others),
        *_two_builds(),
    ]


def _place(check: Check) -> int:
    return list(SHOWN.values()).index(check.name)


def version_of(distribution: str) -> str | None:
    """The installed version; None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def demands_of(distribution: str, extras: Collection[str] = ()) -> Demands:
    """What a distribution needs, directly or not, by canonical name; the most direct demand is
    the first.
    """
    demands: Demands = {}
    waiting = [(distribution, frozenset(extras))]
    for by, extras in waiting:  # which grows meanwhile
        for requirement in _requirements(by, extras):
            name = canonicalize_name(requirement.name)
            demands.setdefault(name, []).append(Demand(by, requirement))
            below = (_build_of(name), frozenset(requirement.extras))
            if below not in waiting:
                waiting.append(below)
    return demands


def _requirements(distribution: str, extras: frozenset[str]) -> Iterator[Requirement]:
    if version_of(distribution) is None:
        return
    for text in importlib.metadata.requires(distribution) or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield requirement


def _build_of(name: str) -> str:
    """The name under which it is installed: `tensorflow` may stand for `tensorflow-cpu`."""
    other = _OTHER_BUILD.get(name)
    return other if other and version_of(name) is None and version_of(other) else name


def check_python(distribution: str) -> Check:
    """Python's own version."""
    needed = SpecifierSet(importlib.metadata.metadata(distribution)["Requires-Python"] or "")
    version = platform.python_version()
    if not needed.contains(version, prereleases=True):
        return error(
            "Python",
            f"{version}, needed is {needed}",
            "make the environment anew with a Python that fits",
        )
    return ok("Python", f"{version} (needed: {needed})")


def check_package(label: str, name: str, asked: Sequence[Demand]) -> Check:
    """One package beside all that is demanded of it."""
    version = version_of(_build_of(name))
    if version is None:
        return error(label, f"{name} is not installed", _install([asked[0]]))
    unmet = _unmet(version, asked)
    if unmet:
        reasons = ", ".join(f"{demand.by} needs {demand.requirement.specifier}" for demand in unmet)
        return error(label, f"{version}, but {reasons}", _install(unmet))
    needed = asked[0].requirement.specifier
    return ok(label, f"{version} (needed: {needed})" if needed else version)


def check_others(demands: Demands) -> Check:
    """All packages that have no line of their own."""
    lines = [check_package(name, name, asked) for name, asked in demands.items()]
    wrong = [line for line in lines if line.state != "ok"]
    if wrong:
        found = "; ".join(
            line.found if line.name in line.found else f"{line.name} {line.found}" for line in wrong
        )
        return error("other packages", found, "; ".join(line.remedy for line in wrong))
    return ok("other packages", f"{len(lines)} others fit each other")


def _unmet(version: str, asked: Sequence[Demand]) -> list[Demand]:
    return [
        demand
        for demand in asked
        if not demand.requirement.specifier.contains(version, prereleases=True)
    ]


def _install(demands: Sequence[Demand]) -> str:
    needed = ",".join(str(demand.requirement.specifier) for demand in demands)
    return f"pip install '{demands[0].requirement.name}{needed}'"


def _two_builds() -> list[Check]:
    both = [name for name in _OTHER_BUILD if version_of(name)]
    if len(both) < 2:
        return []
    found = f"{' and '.join(both)} are installed, and have overwritten each other's files"
    return [
        warning(
            "TensorFlow builds", found, f"pip uninstall {' '.join(both)}, then install one of them"
        )
    ]
