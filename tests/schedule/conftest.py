"""Jobs whose program writes down how it was called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline import pipelines
from emberline.schedule import job
from emberline.schedule.calendar import At
from emberline.schedule.job import Job
from emberline.schedule.programs import Programs

PIPELINE = """
[ratings]
path = "data/ratings.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[als]
[recommend]
[report]
"""
NASTY = (
    "plain",
    "two words",
    "it's",
    'a "quote"',
    "100%",
    r"back\slash",
    r"\\%\% '\' \\",
    "%n %h %% \\%",
    "$HOME ${HOME} $$ $(id) `id`",
    "a;b & c | d > e # f",
    "{{ ds }} {% x %} << x >> <% y %>",
    "прод-夜-🔥",
    " edge ",
    "ends in \\",
    "=x",
    "~",
    "*",
)

MakeJob = Callable[..., Job]


@pytest.fixture(params=NASTY)
def nasty(request: pytest.FixtureRequest) -> str:
    """A name that some file would misread, were it not quoted."""
    return str(request.param)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that writes its folder and its arguments to `calls`, each ended by NUL, with a
    line break after each call.
    """
    path = tmp_path / "emberline"
    path.write_text(
        f"#!/bin/sh\nprintf '%s\\0' \"$PWD\" \"$@\" >> '{tmp_path}/calls'\necho >>"
        f" '{tmp_path}/calls'\necho done\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """`calls()` is how the program was called since it was last asked: each time its folder and
    its arguments.
    """

    def read() -> list[list[str]]:
        path = tmp_path / "calls"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.unlink(missing_ok=True)
        return [call.split("\0") for call in text.split("\0\n")[:-1]]

    return read


@pytest.fixture
def make_job(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    """`make_job(name=..., folder=..., ...)` is the job of a pipeline file of that name, in that
    folder.
    """

    def make(
        name: str = "night",
        folder: str = "folder",
        root: str | None = None,
        base: str | None = None,
        overrides: tuple[str, ...] = (),
        at: str = "03:00",
        submit: tuple[str, ...] | None = None,
        sections: str = "",
    ) -> Job:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        monkeypatch.chdir(place)
        pipeline = place / f"{name}.toml"
        pipeline.write_text(PIPELINE + sections, encoding="utf-8")
        places = {"root": root, "base": base}
        given = [f"{key}={json.dumps(at, ensure_ascii=False)}" for key, at in places.items() if at]
        config = pipelines.load(pipeline, [*overrides, *given])
        return job.make(
            config,
            Path(pipeline.name),
            At.parse(at),
            Programs((str(program),), submit),
            root,
            base,
            overrides,
        )

    return make
