"""Which networks may teach which: told in one line where one may not, and known by the fingerprint
where it may.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cnn.test_stages import SECTIONS, config_of, run

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.errors import ConfigError
from emberline.runs import plan as plans
from emberline.runs.roots import Roots
from emberline.runs.stage_run import begin
from emberline.sections.config import Config

Publish = Callable[..., None]
TRAIN = ["train-cnn"]
RUN = "20250101T000000-11111111"


def planned(config: Config, root: Path) -> tuple[str, str]:
    (decision,) = plans.plan(config, root, stages.select(config, only="train-cnn"))
    return decision.action, decision.reason


def test_a_student_is_of_its_teacher(tmp_path: Path, publish_shards: Publish) -> None:
    """By lineage and fingerprint, not by the path; another teacher is a reason to train again."""
    root, teacher = tmp_path / "student", tmp_path / "teacher"
    publish_shards(root)
    taught_by(teacher, RUN)
    config = config_of(SECTIONS, teacher=str(teacher))
    assert planned(config, root) == ("run", "never run here")
    pretend_trained(config, root)
    made = manifests.load(root, "cnn").manifest.produced_by
    assert made.inputs["teacher"] == {"fingerprint": "1" * 64, "run_id": RUN}
    assert made.config["teacher"] == {"weight": 0.5, "temperature": 1.0}
    assert planned(config, root) == ("skip", "up to date")
    elsewhere = teacher.rename(tmp_path / "moved")
    moved = config_of(SECTIONS, teacher=str(elsewhere))
    assert planned(moved, root) == ("skip", "up to date")
    other = config_of(SECTIONS, teacher={"root": str(elsewhere), "weight": 0.9})
    assert planned(other, root) == ("run", "cnn.teacher.weight was 0.5, is 0.9")
    taught_by(elsewhere, RUN.replace("1", "2"))
    assert planned(moved, root) == ("run", "teacher is new")


def taught_by(root: Path, run_id: str) -> None:
    """A root that says to have a network."""
    made = ProducedBy("train-cnn", "1" * 64, run_id)
    manifests.commit(root, Manifest("cnn", "artifact", [], 0, [], made))


def pretend_trained(config: Config, root: Path) -> None:
    """What a run of train-cnn would have left, but for its files."""
    (stage,) = stages.select(config, only="train-cnn")
    inputs = plans.open_inputs(config, Roots(root), stage, {})
    by = begin(config, stage, Roots(root), inputs).outputs.produced_by
    manifests.commit(root, Manifest("cnn", "artifact", [], 0, [], by))


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ("nobody", "is {place}/nobody, where there is no cnn; run train-cnn there first"),
        ("root", "is {place}/root, the root that this run writes: give another one"),
    ],
)
def test_a_teacher_that_is_not_there_is_told_before_anything_runs(
    teacher: str, says: str, tmp_path: Path, publish_shards: Publish
) -> None:
    root = tmp_path / "root"
    publish_shards(root)
    config = config_of(SECTIONS, teacher=str(tmp_path / teacher))
    for act in (planned, lambda config, root: run(config, root, *TRAIN)):
        with pytest.raises(
            ConfigError, match=re.escape(f"cnn.teacher {says.format(place=tmp_path)}")
        ):
            act(config, root)
    assert not (root / "cnn").exists()


def test_a_teachers_path_belongs_to_the_pipeline_file(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    sections = '[images]\npath = "x"\n[shards]\ntask = "class"\n[cnn]\n'
    for text in ('teacher = "runs/large"', "[cnn.teacher]\nroot = 'runs/large'"):
        file.write_text(sections + text)
        cnn = pipelines.load(file).cnn
        assert cnn and cnn.teacher and cnn.teacher.root == str(tmp_path / "runs/large")


def dataset(name: str, inputs: dict[str, dict[str, str]] | None = None, **info: Any) -> Dataset:
    shape = {"height": 20, "width": 20, "channels": 1}
    made = ProducedBy("a-stage", "1" * 64, RUN, inputs=inputs or {})
    task = {"task": "class", "classes": ["a", "b"]}
    manifest = Manifest(name, "artifact", [], 0, [], made, info=task | shape | info)
    return Dataset(Path("/root") / name, manifest)


@pytest.mark.parametrize(
    ("theirs", "says"),
    [
        ({"task": "factors"}, "predicts factors, and classes are to be learnt"),
        ({"width": 24}, "takes pictures of 20 x 24 x 1, these are 20 x 20 x 1"),
        ({"classes": ["b", "a"]}, "knows 'b' as class 0, which is 'a' here"),
        ({"classes": ["a", "b", "c"]}, "knows 3 classes, here are 2"),
    ],
)
@pytest.mark.usefixtures("tensorflow")
def test_a_teacher_of_something_else_is_refused(theirs: dict[str, Any], says: str) -> None:
    from emberline.cnn.teacher import teaching
    from emberline.sections.teacher import TeacherConfig

    with pytest.raises(ConfigError, match=f"cnn.teacher, the network in /root/cnn, {says}"):
        teaching(TeacherConfig(root="x"), dataset("cnn", **theirs), dataset("shards_train"), None)


@pytest.mark.usefixtures("tensorflow")
def test_factors_are_taught_by_who_has_learnt_the_same_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its predictions are turned to the components that the student learns."""
    from emberline.cnn import teacher
    from emberline.cnn.targets import fit_components
    from emberline.sections.teacher import TeacherConfig

    train = dataset("shards_train", task="factors")
    factors = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    components = fit_components([factors], 3)
    monkeypatch.setattr(teacher, "load_model", lambda found: Fixed(factors))
    same = dataset("cnn", {"shards_train": train.manifest.identity()}, task="factors")
    taught = teacher.teaching(TeacherConfig(root="x"), same, train, components)
    np.testing.assert_allclose(taught.answers(None), components.targets(factors), atol=1e-5)
    others = replace(train.manifest.produced_by, fingerprint="2" * 64)
    other = Dataset(train.folder, replace(train.manifest, produced_by=others))
    with pytest.raises(ConfigError, match=r"has learnt other factors.*both in roots with one"):
        teacher.teaching(TeacherConfig(root="x"), same, other, components)


class Fixed:
    """A network that says the same of whatever it sees."""

    def __init__(self, answer: np.ndarray) -> None:
        self._answer = answer

    def __call__(self, pixels: Any, training: bool) -> np.ndarray:
        return self._answer
