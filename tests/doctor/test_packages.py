"""Installed versions beside what a package's metadata ask for: real packages, and one made up
that asks.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from emberline.doctor.check import Check
from emberline.doctor.packages import check_packages

Installed = Callable[..., None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """`installed(name, version, *needs)` installs a distribution that is nothing but metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, version: str, *needs: str, python: str = ">=3.11") -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n"
        )
        (folder / "METADATA").write_text(
            head + "".join(f"Requires-Dist: {need}\n" for need in needs), encoding="utf-8"
        )

    return install


def _states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def _found(checks: list[Check], name: str) -> str:
    return next(check.found for check in checks if check.name == name)


def test_emberlines_own_packages_fit() -> None:
    checks = check_packages(extras=["train", "spark"])
    assert set(_states(checks).values()) == {"ok"}
    assert {
        "Python",
        "Spark",
        "TensorFlow",
        "Keras",
        "pyarrow",
        "pandas",
        "NumPy",
        "other packages",
    } == set(_states(checks))
    assert _found(checks, "Spark").startswith(version("pyspark"))


def test_a_version_outside_the_range_is_an_error_that_says_who_asks(installed: Installed) -> None:
    installed("asks", "1.0", "numpy<1", "pyarrow")
    checks = check_packages("asks")
    assert _states(checks)["NumPy"] == "error"
    assert _states(checks)["pyarrow"] == "ok"
    assert _found(checks, "NumPy") == f"{version('numpy')}, but asks needs <1"
    assert (
        next(check.remedy for check in checks if check.name == "NumPy") == "pip install 'numpy<1'"
    )


def test_what_a_needed_package_asks_for_counts_too(installed: Installed) -> None:
    installed("asks", "1.0", "between")
    installed("between", "2.0", "keras>=99")
    checks = check_packages("asks")
    assert _found(checks, "Keras") == f"{version('keras')}, but between needs >=99"


def test_a_package_that_is_not_installed_is_an_error(installed: Installed) -> None:
    installed("asks", "1.0", "pyspark", "no-such-package>=2")
    checks = check_packages("asks")
    assert _states(checks)["other packages"] == "error"
    assert _found(checks, "other packages") == "no-such-package is not installed"


def test_extras_and_other_systems_ask_for_nothing(installed: Installed) -> None:
    installed(
        "asks",
        "1.0",
        'no-such-package; extra == "gpu"',
        'none-such; sys_platform == "amiga"',
        "numpy",
    )
    assert _found(check_packages("asks"), "other packages") == "0 others fit each other"


def test_tensorflow_is_asked_for_by_an_extra() -> None:
    assert "TensorFlow" not in _states(check_packages())


def test_an_extra_that_a_needed_package_is_asked_with_counts(installed: Installed) -> None:
    installed("asks", "1.0", "between[fast]")
    installed("between", "2.0", 'no-such-package; extra == "fast"')
    assert _states(check_packages("asks"))["other packages"] == "error"


def test_the_other_build_of_tensorflow_will_do(installed: Installed) -> None:
    installed("asks", "1.0", "tensorflow>=2.18")
    assert version("tensorflow-cpu")  # which is what is installed here
    checks = check_packages("asks")
    assert _states(checks)["TensorFlow"] == "ok"
    assert _states(checks)["Keras"] == "ok"  # asked for by that build


def test_both_builds_of_tensorflow_are_a_warning(installed: Installed) -> None:
    installed("asks", "1.0", "tensorflow>=2.18")
    installed("tensorflow", "2.21.0")
    assert _states(check_packages("asks"))["TensorFlow builds"] == "warning"


def test_a_python_that_does_not_fit_is_an_error(installed: Installed) -> None:
    installed("asks", "1.0", python="<3.8")
    assert _states(check_packages("asks"))["Python"] == "error"


def test_sources_that_are_not_installed_are_a_warning() -> None:
    (check,) = check_packages("no-such-package")
    assert (check.state, check.remedy) == (
        "warning",
        "install it: make setup, or pip install no-such-package",
    )
