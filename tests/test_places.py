"""Paths of a pipeline file: whose folder they are relative to, and what in them is not a name."""

from pathlib import Path

import pytest

from emberline import pipelines
from emberline.datasets import listing, storage
from emberline.errors import ConfigError
from emberline.sections.base import Section
from emberline.sections.config import Config

EVERY_PATH = """
root = "runs/tonight"
[ratings]
path = "in/*.csv"
columns = { user_id = "u", item_id = "i" }
value = "one"
[attributes.items]
path = "in/items.csv"
columns = { id = "i" }
[[attributes.users]]
path = "in/users.csv"
columns = { id = "u" }
[images]
path = "in/pictures"
[als]
start_from = "runs/before"
[recommend]
candidates = "in/stock.csv"
exclude = { path = "in/recalled.csv" }
[publish]
to = "served"
"""


def paths(config: Config) -> dict[str, str | None]:
    assert (
        config.ratings and config.attributes and config.images and config.als and config.recommend
    )
    assert config.recommend.candidates and config.recommend.exclude
    return {
        "root": config.root,
        "ratings.path": config.ratings.path,
        "attributes.items.path": config.attributes.items[0].path,
        "attributes.users.path": config.attributes.users[0].path,
        "images.path": config.images.path,
        "als.start_from": config.als.start_from,
        "recommend.candidates": config.recommend.candidates.path,
        "recommend.exclude.path": config.recommend.exclude.path,
        "publish.to": config.publish.to,
    }


def ratings_path(tmp_path: Path, path: str, *overrides: str) -> str:
    file = tmp_path / "night.toml"
    file.write_text(
        f"[ratings]\npath = '{path}'\ncolumns = {{ user_id = 'u', item_id = 'i' }}\nvalue = 'one'\n"
    )
    config = pipelines.load(file, overrides)
    assert config.ratings is not None
    return config.ratings.path


def test_every_path_of_a_file_belongs_to_its_folder_whatever_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "pipelines"
    home.mkdir()
    (home / "night.toml").write_text(EVERY_PATH)
    expected = {
        "root": f"{home}/runs/tonight",
        "ratings.path": f"{home}/in/*.csv",
        "attributes.items.path": f"{home}/in/items.csv",
        "attributes.users.path": f"{home}/in/users.csv",
        "images.path": f"{home}/in/pictures",
        "als.start_from": f"{home}/runs/before",
        "recommend.candidates": f"{home}/in/stock.csv",
        "recommend.exclude.path": f"{home}/in/recalled.csv",
        "publish.to": f"{home}/served",
    }
    for folder, file in (
        (tmp_path, "pipelines/night.toml"),
        (home, "night.toml"),
        (Path("/"), str(home / "night.toml")),
    ):
        monkeypatch.chdir(folder)
        assert paths(pipelines.load(Path(file))) == expected


def test_a_path_on_the_command_line_belongs_to_the_working_folder(tmp_path: Path) -> None:
    home = tmp_path / "pipelines"
    home.mkdir()
    (home / "night.toml").write_text(EVERY_PATH)
    given = {
        name: f"elsewhere/{number}"
        for number, name in enumerate(paths(pipelines.load(home / "night.toml")))
    }
    del given["attributes.users.path"]  # a list of tables, which --set does not reach into
    found = paths(
        pipelines.load(home / "night.toml", [f"{name}={path}" for name, path in given.items()])
    )
    assert {name: found[name] for name in given} == given


def test_a_pipeline_without_a_root_writes_below_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text("[shop]\n")
    assert pipelines.load(tmp_path / "night.toml").root == "runs/night"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$EMBERLINE_DATA/log.csv", "/data/day 1/log.csv"),
        ("${EMBERLINE_DATA}s/log.csv", "/data/day 1s/log.csv"),
        ("s3://$EMBERLINE_BUCKET/log.csv", "s3://shop/log.csv"),
        ("$PWD/log.csv", "PWD/log.csv"),
        ("/prices in $$/log.csv", "/prices in $/log.csv"),
        ("/100$/$-/log.csv", "/100$/$-/log.csv"),
        ("~/log.csv", "~/log.csv"),
        ("hdfs://n:1/log.csv", "hdfs://n:1/log.csv"),
        ("dataset:shop/$EMBERLINE_X*.csv", "dataset:shop/$EMBERLINE_X*.csv"),
    ],
)
def test_variables_and_homes_are_what_the_environment_says(
    path: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBERLINE_DATA", "/data/day 1")
    monkeypatch.setenv("EMBERLINE_BUCKET", "shop")
    monkeypatch.delenv("PWD", raising=False)  # cron and systemd do not set it
    expected = expected.replace("PWD", str(Path.cwd()))
    assert ratings_path(tmp_path, path) == expected
    assert ratings_path(tmp_path, "x.csv", f"ratings.path={path}") == expected


def test_a_variable_that_is_not_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBERLINE_DATA", raising=False)
    with pytest.raises(
        ConfigError,
        match=(
            r"night\.toml: ratings\.path names the environment variable EMBERLINE_DATA, which is"
            r" not set"
        ),
    ):
        ratings_path(tmp_path, "$EMBERLINE_DATA/log.csv")
    with pytest.raises(
        ConfigError, match=r"--set ratings\.path names the environment variable EMBERLINE_DATA"
    ):
        ratings_path(tmp_path, "log.csv", "ratings.path=${EMBERLINE_DATA}/log.csv")


def test_other_texts_than_paths_keep_their_dollars(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[report]\ntitle = "$EMBERLINE_MONEY"\n')
    report = pipelines.load(tmp_path / "night.toml").report
    assert report is not None and report.title == "$EMBERLINE_MONEY"


def test_previous_factors_are_no_path(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[als]\nstart_from = "previous"\n')
    als = pipelines.load(tmp_path / "night.toml").als
    assert als is not None and als.start_from == "previous"


def test_a_glob_below_a_folder_that_looks_like_one_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "[a]*"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "log.csv").write_text("x")
    found = listing.list_files(ratings_path(folder, "in/*.csv"))
    assert [file.uri for file in found] == [f"{folder}/in/log.csv"]


def test_a_home_that_nobody_has_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"~nobody-of-that-name/x: there is no such home folder; write \./~nobody"
    ):
        storage.locate("~nobody-of-that-name/x")


def test_a_setting_that_is_called_a_path_is_one() -> None:
    """A new setting that names a place says so by place(), or its paths would belong to the
    working folder.
    """

    def settings(model: type[Section]) -> list[str]:
        from emberline.sections.base import section_of

        below = [section_of(field.annotation) for field in model.model_fields.values()]
        wrong = [
            f"{model.__name__}.{name}"
            for name, field in model.model_fields.items()
            if name in ("path", "to", "root", "start_from")
            and not (field.json_schema_extra or {}).get("place")  # type: ignore[union-attr]
        ]
        return wrong + [name for one in below if one is not None for name in settings(one)]

    assert settings(Config) == []
