"""What comes with the package: pipelines by name, pages, and that a wheel holds them."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import emberline
from emberline import pipelines, shipped
from emberline.cli.main import main
from emberline.errors import ConfigError

HOME = Path(__file__).parents[1]


def test_a_pipeline_runs_by_its_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert emberline.plan("demo")[0].stage.name == "generate-shop"
    config = pipelines.load(Path("demo"), ["shop.num_items=20"])
    assert (
        config.root.endswith("runs/demo")
        and config.shop is not None
        and config.shop.num_items == 20
    )


def test_a_folder_of_that_name_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one with the data of the pipeline retail."""
    monkeypatch.chdir(tmp_path)
    Path("retail").mkdir()
    assert pipelines.load(Path("retail")).root.endswith("runs/retail")


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("[shop]\nnum_items = 33\n")
    config = pipelines.load(Path("demo"))
    assert config.shop is not None and config.shop.num_items == 33
    with pytest.raises(
        ConfigError,
        match=r"elsewhere/demo is not a file; .* the name of one that is here: cifar10, demo,",
    ):
        pipelines.load(Path("elsewhere/demo"))


def test_a_scheduler_gets_no_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["emberline", "schedule", "cron", "demo"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (
        ended.value.code == 2
        and "a scheduler needs the path of a pipeline file" in capsys.readouterr().err
    )


def test_a_page_is_named_where_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HOME)
    assert shipped.page("storage.md") == "docs/storage.md"
    monkeypatch.chdir(tmp_path)
    assert Path(shipped.page("storage.md")).is_file()


def test_the_wheel_is_told_of_every_pipeline_and_page() -> None:
    told = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["force-include"]
    assert told.pop("jobs/pipelines") == "emberline/share/pipelines"
    pages = {path.relative_to(HOME).as_posix() for path in (HOME / "docs").glob("*.md")}
    assert told == {page: f"emberline/share/{page}" for page in pages}


def test_every_page_that_a_message_names_is_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (HOME / "lib").rglob("*.py"))
    named = set(re.findall(r"docs/(\w+\.md)", sources)) | set(
        re.findall(r"page\(['\"](\w+\.md)", sources)
    )
    assert named and all((HOME / "docs" / name).is_file() for name in named)


def test_an_unpacked_wheel_has_them_without_a_checkout(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "emberline.zip", "w") as wheel:
        for path in (HOME / "lib" / "emberline").rglob("*"):
            if path.suffix in (".py", ".j2", ".css"):
                wheel.write(path, path.relative_to(HOME / "lib"))
        wheel.write(HOME / "jobs/pipelines/demo.toml", "emberline/share/pipelines/demo.toml")
        wheel.write(HOME / "docs/storage.md", "emberline/share/docs/storage.md")
    program = (
        "import sys; sys.path.insert(0, 'emberline.zip'); from pathlib import Path; from emberline"
        " import pipelines, shipped;print(shipped.pipeline_names(), shipped.page('storage.md'),"
        " pipelines.load(Path('demo')).shop.num_items)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "['demo'] emberline.zip/emberline/share/docs/storage.md 1500\n", ran.stderr
