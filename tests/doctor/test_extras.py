"""An installation without TensorFlow and pyspark, which not everything needs: all else works, and
what needs them says so at once.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from emberline.doctor.examination import examine
from emberline.doctor.extra_packages import check_extras
from emberline.doctor.pipeline import Target
from emberline.doctor.probes import Probes
from emberline.doctor.tensorflow import check_tensorflow
from emberline.sections.cnn import CnnConfig
from emberline.sections.config import Config
from emberline.stages import select

SHOP = "[shop]\nnum_items = 10\nnum_users = 10\nnum_events = 100\n"
PICTURES = (
    '[images]\npath = "pictures"\nlabels = "folder"\n[shards]\ntask = "class"\n[cnn]\n[predict]\n'
)
Bare = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """`bare(*arguments)` is the command where TensorFlow, Keras and soundfile are missing, or what
    else it is `without`.
    """
    program = (
        "import sys; sys.modules |= dict.fromkeys({}); from emberline.cli.main import main; main()"
    )
    pictures = tmp_path / "pictures" / "cat"
    pictures.mkdir(parents=True)
    (pictures / "1.png").touch()

    def run(
        text: str, *arguments: str, without: Sequence[str] = ("tensorflow", "keras", "soundfile")
    ) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "p.toml").write_text(text, encoding="utf-8")
        command = [
            sys.executable,
            "-c",
            program.format(list(without)),
            arguments[0],
            "p.toml",
            *arguments[1:],
        ]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


def test_a_pipeline_with_a_network_ends_with_2_in_one_line_before_anything_runs(
    bare: Bare, tmp_path: Path
) -> None:
    ended = bare(SHOP + PICTURES, "run", "--root", "r")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert (
        "train-cnn needs TensorFlow, which is not installed: pip install 'emberline[train]'"
        in ended.stderr
    )
    assert not (tmp_path / "r" / "shop").exists()


def test_a_stage_that_would_run_on_spark_says_so_in_one_line(bare: Bare, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\nu,i\n")
    ratings = '[ratings]\npath = "log.csv"\ncolumns = { user_id = "user", item_id = "item" }\n'
    ended = bare(ratings + 'value = "one"\n[spark]\nengine = "spark"\n', "run", without=["pyspark"])
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert (
        "prepare-ratings would run on Spark, which is not installed: pip install 'emberline[spark]'"
        in ended.stderr
    )


def test_a_pipeline_without_one_runs(bare: Bare) -> None:
    ended = bare(SHOP, "run")
    assert ended.returncode == 0, ended.stderr
    assert "shop 10" in ended.stdout


def test_sounds_without_their_extra_end_with_2_in_one_line_that_says_what_to_install(
    bare: Bare, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").touch()
    ended = bare('[sounds]\npath = "a.wav"\n', "run", "--root", "r")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert (
        "prepare-sounds needs the extra for sound (soundfile, soxr), which is not installed: pip"
        " install 'emberline[sound]'" in ended.stderr
    )


def test_the_doctor_names_an_extra_that_a_stage_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config.model_validate({"sounds": {"path": "a.wav"}})
    (line,) = check_extras(config, select(config))
    assert (line.name, line.state) == ("extra sound", "ok")
    monkeypatch.setitem(sys.modules, "soxr", None)
    (line,) = check_extras(config, select(config))
    assert (line.state, line.remedy) == ("error", "pip install 'emberline[sound]'")


def test_planning_a_network_needs_no_tensorflow(bare: Bare) -> None:
    ended = bare(SHOP + PICTURES, "plan")
    assert ended.returncode == 0 and "train-cnn" in ended.stdout


def test_the_doctor_asks_for_it_where_a_network_is_to_be_trained(
    monkeypatch: pytest.MonkeyPatch, probes: Probes, environment: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (line,) = check_tensorflow(probes, environment, Config.model_construct(cnn=CnnConfig()), 2)
    assert (line.state, line.remedy) == ("error", "pip install 'emberline[train]'")
    (line,) = check_tensorflow(probes, environment, Config(), 2)
    assert (line.state, line.remedy) == ("warning", "pip install 'emberline[train]'")


def test_the_doctors_versions_are_not_those_of_packages_that_nothing_needs(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    names = {
        check.name: check.state
        for check in examine((Target(engines={"tensorflow"}), []), environment)
    }
    assert "TensorFlow" not in names and names["TensorFlow imports"] == "warning"
