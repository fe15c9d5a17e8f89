"""The stages of networks as the runner runs them: in one child process, and on again after a
kill.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ai_edge_litert.interpreter import Interpreter
from onnxruntime import InferenceSession
from typer.testing import CliRunner

from emberline import extras, stages
from emberline.cli.app import app
from emberline.datasets import manifest as manifests
from emberline.datasets import rows, storage
from emberline.datasets.facts import Exported
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.remote import RemotePath
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import (
    ConfigError,
    DataError,
    GateError,
    ManifestError,
    NotServedError,
    TrainingError,
)
from emberline.launch import local
from emberline.launch.child import Child
from emberline.publish import releases
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.serving.light import LightModel

Publish = Callable[..., None]
Weights = Callable[[Location], dict[str, np.ndarray]]
SECTIONS: dict[str, Any] = {
    "images": {"path": "unread"},
    "shards": {"task": "class"},
    "cnn": {
        "model": "cifar",
        "epochs": 6,
        "input": {"global_batch_size": 16, "flip": True},
        "optimizer": {"learning_rate": 0.003},
    },
    "predict": {"batch_size": 7},
    "export": {"calibration_pictures": 40},
    "report": {"overlays": 4},
}
FACTORS = SECTIONS | {
    "ratings": {"path": "unread", "columns": {"user_id": "u", "item_id": "i", "value": "v"}},
    "als": {"rank": 3},
    "shards": {"task": "factors"},
}
LOOKING = "explain-pictures"
LISTS = FACTORS | {"recommend": {}, "explain": {}}


def config_of(sections: dict[str, Any], **cnn: Any) -> Config:
    """The sections with other settings in [cnn], its own sections put together."""
    merged = {
        name: sections["cnn"][name] | value if isinstance(value, dict) else value
        for name, value in cnn.items()
        if name in sections["cnn"] or not isinstance(value, dict)
    }
    return Config.model_validate(sections | {"cnn": sections["cnn"] | cnn | merged})


def run(config: Config, root: Location, *names: str) -> list[runner.Outcome]:
    chosen = [
        stage
        for stage in stages.in_pipeline(config)
        if stage.name in (names or ("train-cnn", "predict-items", "export-model"))
    ]
    return runner.run(config, root, chosen)


def table(root: Path, name: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in manifests.load(root, name).paths])


# --------------------------------------------------------------------------------------------------
# classes


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, publish_shards: Publish
) -> tuple[Path, list[int]]:
    """A root in which all stages have run, and the ids of the processes that they ran in."""
    root = tmp_path_factory.mktemp("classes")
    publish_shards(root)
    started: list[int] = []

    class Counted(Child):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self.pid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "Child", Counted)
        run(config_of(SECTIONS), root, "train-cnn", "predict-items", "export-model", LOOKING)
    return root, started


def test_neighbouring_stages_share_one_process_which_ends_with_them(
    trained: tuple[Path, list[int]],
) -> None:
    (process,) = trained[1]
    assert not Path(f"/proc/{process}").exists()


def test_what_can_be_learnt_is_learnt(trained: tuple[Path, list[int]]) -> None:
    root, _ = trained
    predicted, truth = (
        table(root, name).sort_by("item") for name in ("predicted_classes", "shards_all")
    )
    assert predicted["item"].equals(truth["item"])
    assert (predicted["predicted"].to_numpy() == truth["label"].to_numpy()).mean() > 0.95
    assert predicted["top"].to_pylist() == [
        [best, 1 - best] for best in predicted["predicted"].to_pylist()
    ]
    assert manifests.load(root, "predicted_classes").manifest.info["classes"] == ["above", "below"]


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("way", ["gradients", "cam"])
def test_people_see_which_pixels_a_class_is_told_by(
    trained: tuple[Path, list[int]], tmp_path: Path, way: str
) -> None:
    root, file = trained[0], tmp_path / "pixels.png"
    shown = CliRunner().invoke(
        app, ["pixels", str(root), "--item", "item 3", "--by", way, "--to", str(file)]
    )
    says = f"{file}: class '(above|below)': score [-.\\d]+, of the background alone [-.\\d]+;"
    assert re.match(says, shown.output), shown.output
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--item", "nothing"], "there is no picture of an item 'nothing'"),
        (["--item", "item 3", "--user", "u"], "predicts classes: leave out the user"),
    ],
)
def test_what_has_no_pixels_to_show_is_said(
    trained: tuple[Path, list[int]], asked: list[str], says: str
) -> None:
    command = ["pixels", str(trained[0]), *asked, "--to", "unwritten.png"]
    with pytest.raises(DataError, match=says):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert not Path("unwritten.png").exists()


def test_the_history_has_every_epoch_and_the_best_one_is_the_most_accurate(
    trained: tuple[Path, list[int]],
) -> None:
    info = manifests.load(trained[0], "cnn").manifest.info
    assert [row["epoch"] for row in info["history"]] == [1, 2, 3, 4, 5, 6]
    assert (
        info["best_epoch"]
        == min(info["history"], key=lambda row: (-row.get("val_accuracy", 0.0), row["val_loss"]))[
            "epoch"
        ]
    )
    assert info["history"][-1]["loss"] < info["history"][0]["loss"]
    assert all(
        row["val_accuracy"] * 24 == pytest.approx(round(row["val_accuracy"] * 24))
        for row in info["history"]
    )


@pytest.mark.parametrize(
    ("measured", "best"),
    [
        # surer of its mistakes
        ([{"val_loss": 0.5, "val_accuracy": 0.8}, {"val_loss": 0.7, "val_accuracy": 0.9}], 2),
        ([{"val_loss": 0.5, "val_accuracy": 0.8}, {"val_loss": 0.4, "val_accuracy": 0.8}], 2),
        ([{"val_loss": 0.5, "val_accuracy": 0.8}, {"val_loss": 0.4, "val_accuracy": 0.7}], 1),
        ([{"val_loss": 0.5, "val_accuracy": 0.8}, {"val_loss": 0.5, "val_accuracy": 0.8}], 1),
        ([{"val_loss": 0.5}, {"val_loss": 0.6}], 1),
        ([{"val_loss": 0.5}, {"val_loss": 0.4}], 2),
    ],
)
def test_epochs_of_classes_compare_by_accuracy_and_those_of_factors_by_loss(
    tensorflow: Any, measured: list[dict[str, float]], best: int
) -> None:
    from emberline.cnn.progress import Progress

    progress = Progress()
    assert [place for place, row in enumerate(measured, 1) if progress.takes(row)][-1] == best


def test_embeddings_are_as_wide_as_the_layer_and_of_every_picture(
    trained: tuple[Path, list[int]],
) -> None:
    embeddings = table(trained[0], "embeddings")
    assert sorted(embeddings["item"].to_pylist()) == list(range(130))
    assert {len(vector) for vector in embeddings["embedding"].to_pylist()} == {64}


def test_summaries_for_tensorboard_are_in_the_artifact(
    trained: tuple[Path, list[int]], tensorflow: Any
) -> None:
    (events,) = [
        path
        for path in manifests.load(trained[0], "cnn").paths
        if path.parent.name == "tensorboard"
    ]
    records = tensorflow.data.TFRecordDataset(str(events))
    parsed = [tensorflow.compat.v1.Event.FromString(record.numpy()) for record in records]
    points = {(value.tag, event.step) for event in parsed for value in event.summary.value}
    assert {("val_loss", epoch) for epoch in range(1, 7)} < points


@pytest.mark.faults
def test_trained_in_an_object_store_the_model_has_the_same_bits(
    trained: tuple[Path, list[int]], s3_root: RemotePath, publish_shards: Publish, weights: Weights
) -> None:
    publish_shards(s3_root)
    config = config_of(SECTIONS, checkpoint_steps=4)
    run(config, s3_root)
    left, right = weights(trained[0]), weights(s3_root)
    assert left.keys() == right.keys() and len(left) > 8
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    assert {outcome.action for outcome in run(config, s3_root)} == {"skip"}
    assert rows.head(manifests.load(s3_root, "embeddings"), 200).num_rows == 130
    assert any(part.path.endswith(".v2") for part in manifests.load(s3_root, "cnn").manifest.parts)
    assert storage.files_below(s3_root / "_work") == []


def test_nothing_is_left_of_the_work(trained: tuple[Path, list[int]]) -> None:
    assert not any((trained[0] / "_work").glob("train-cnn/*"))


# --------------------------------------------------------------------------------------------------
# small forms


@pytest.fixture
def exported(trained: tuple[Path, list[int]]) -> Path:
    """The root in which the network was exported to all forms."""
    return trained[0]


def told(root: Path) -> Exported:
    return manifests.load(root, "exported_model").manifest.facts(Exported)


def pictures(root: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Those of a dataset of shards, and their labels."""
    table = pq.read_table(manifests.load(root, name).paths)
    pixels = np.frombuffer(b"".join(table["pixels"].to_pylist()), np.uint8)
    return pixels.reshape(-1, 20, 20, 1), table["label"].to_numpy()


def by_hand(path: Path, pixels: np.ndarray) -> np.ndarray:
    """The outputs of a file, picture by picture: what docs/serving.md says."""
    network = Interpreter(model_path=str(path))
    network.allocate_tensors()
    asked, answered = network.get_input_details()[0], network.get_output_details()[0]
    found = []
    for picture in pixels:
        network.set_tensor(asked["index"], picture[None])
        network.invoke()
        found.append(network.get_tensor(answered["index"])[0])
    return np.array(found)


@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_a_forms_accuracy_is_that_of_its_file_run_by_hand(exported: Path, form: str) -> None:
    pixels, labels = pictures(exported, "shards_test")
    paths = {path.name: path for path in manifests.load(exported, "exported_model").paths}
    said = told(exported).of(form)
    assert said is not None
    outputs = by_hand(paths[said.file], pixels)
    assert said.value == pytest.approx((outputs.argmax(axis=1) == labels).mean())
    assert said.bytes == paths[said.file].stat().st_size
    assert (told(exported).measured_on, told(exported).measured_pictures) == ("shards_test", 40)
    light = LightModel.open(exported, form)
    exact = said.scale * (outputs.astype(np.float32) - said.zero_point)
    np.testing.assert_allclose(light.outputs(pixels), exact, atol=1e-4)


def test_a_light_form_is_small_and_the_network_is_measured_beside_it(exported: Path) -> None:
    forms = {each.form: each for each in told(exported).forms}
    assert list(forms) == ["keras", "float32", "float16", "int8"]
    assert forms["keras"].loss == forms["keras"].distance == 0
    assert forms["int8"].bytes < 0.3 * forms["float32"].bytes
    assert forms["float16"].bytes < 0.6 * forms["float32"].bytes
    assert all(each.pictures_per_second > 0 and each.holds for each in forms.values())


def test_normalisation_is_inside_and_float32_is_the_network_itself(
    exported: Path, tensorflow: Any
) -> None:
    from emberline.cnn.model_file import load_model

    pixels, _ = pictures(exported, "shards_test")
    network = load_model(manifests.load(exported, "cnn"))(pixels, training=False).numpy()
    found = LightModel.open(exported, "float32").outputs(pixels)
    np.testing.assert_allclose(found, network, atol=1e-4 * np.abs(network).max())


def test_a_pixel_of_int8_is_the_whole_number_that_it_is(exported: Path) -> None:
    (path,) = [p for p in manifests.load(exported, "exported_model").paths if "int8" in p.name]
    network = Interpreter(model_path=str(path))
    details = network.get_input_details()[0]
    assert details["dtype"] is np.uint8 and details["quantization"] == (pytest.approx(1.0), 0)
    assert network.get_output_details()[0]["dtype"] is np.uint8
    types = {details["dtype"] for details in network.get_tensor_details()}
    assert np.float32 not in types  # whole numbers throughout


READER = """
import sys
for name in ("tensorflow", "keras", "pyspark", "pydantic"):
    sys.modules[name] = None
import numpy as np
from emberline import LightModel

model = LightModel.open(sys.argv[1], "int8")
pixels = np.load(sys.argv[2])
print(*(guess.name for (guess,) in model.classify(pixels)))
"""


def test_a_release_tells_pictures_apart_where_there_is_no_tensorflow(
    exported: Path, tmp_path: Path
) -> None:
    release, _ = releases.publish(exported, tmp_path / "served")
    assert {verdict.gate for verdict in release.gates if "int8" in verdict.gate}
    assert release.measures["forms:int8.accuracy"].value > 0.9
    pixels, labels = pictures(exported, "shards_test")
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-c", READER, tmp_path / "served", tmp_path / "pixels.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = np.array(["above", "below"])[labels]
    assert (np.array(done.stdout.split()) == names).mean() > 0.9


def test_probabilities_add_up_and_the_most_probable_class_is_first(exported: Path) -> None:
    pixels, _ = pictures(exported, "shards_test")
    guesses = LightModel.open(exported).classify(pixels[:3], k=5)
    assert [len(each) for each in guesses] == [2, 2, 2]
    assert all(first.probability >= second.probability for first, second in guesses)
    assert [sum(guess.probability for guess in each) for each in guesses] == pytest.approx([1] * 3)
    assert LightModel.open(exported).classify(pixels[:0]) == []


def test_a_reader_says_what_is_wrong(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LightModel.open(exported)
    with pytest.raises(ConfigError, match=r"pictures \(n, 20, 20, 1\) of uint8, found \(1, 8, 8\)"):
        model.outputs(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(NotServedError, match="has no form 'int4'; it has float32, float16, int8"):
        LightModel.open(exported, "int4")
    with pytest.raises(ManifestError, match="exported_model"):
        LightModel.open(tmp_path)
    monkeypatch.setattr(extras, "LITERT", extras.Extra("litert", ("no_such_module",), "LiteRT"))
    with pytest.raises(ConfigError, match=r"pip install 'emberline\[litert\]'"):
        LightModel.open(exported)


def test_what_loses_too_much_is_not_published_and_the_message_says_what_to_do(
    exported: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(exported / "exported_model", root / "exported_model")
    path = root / "exported_model" / "manifest.json"
    content = json.loads(path.read_text())
    int8 = next(form for form in content["info"]["forms"] if form["form"] == "int8")
    int8["loss"] = int8["most"] + 0.001
    path.write_text(json.dumps(content))
    with pytest.raises(GateError) as refused:
        releases.publish(root, tmp_path / "served")
    said = str(refused.value)
    assert "int8 is as good as the network: its accuracy is 0.006 less on 40 pictures" in said
    assert "export.calibration_pictures or export.max_accuracy_loss" in said
    assert not (tmp_path / "served" / "current.json").exists()
    int8["loss"] = int8["most"]
    path.write_text(json.dumps(content))
    assert releases.publish(root, tmp_path / "served")[1]


def test_a_file_that_was_altered_is_not_run(exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported / "exported_model", tmp_path / "exported_model")
    (path,) = (tmp_path / "exported_model").rglob("model-int8.tflite")
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"int8.tflite was altered.*rerun export-model"):
        LightModel.open(tmp_path)


@pytest.fixture(scope="module")
def in_onnx(trained: tuple[Path, list[int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the network was exported as ONNX alone."""
    root = tmp_path_factory.mktemp("onnx")
    shutil.copytree(trained[0], root, dirs_exist_ok=True)
    run(config_of(SECTIONS | {"export": {"forms": ("onnx",)}}), root, "export-model")
    return root


def test_onnx_is_the_network_itself_and_published_if_it_is_as_good(
    in_onnx: Path, tmp_path: Path, tensorflow: Any
) -> None:
    from emberline.cnn.model_file import load_model

    pixels, labels = pictures(in_onnx, "shards_test")
    network = load_model(manifests.load(in_onnx, "cnn"))(pixels, training=False).numpy()
    light = LightModel.open(in_onnx, "onnx")
    assert [each.form for each in told(in_onnx).forms] == ["keras", "onnx"]
    np.testing.assert_allclose(light.outputs(pixels), network, atol=1e-4 * np.abs(network).max())
    assert light.outputs(pixels[:0]).shape == (0, 2)
    assert light.form.value == pytest.approx((network.argmax(axis=1) == labels).mean())
    assert light.form.pictures_per_second > 0
    release, _ = releases.publish(in_onnx, tmp_path / "served")
    assert any("onnx is as good as the network" in verdict.gate for verdict in release.gates)


def test_onnx_takes_any_number_of_pictures_by_its_own_runtime(in_onnx: Path) -> None:
    """As docs/serving.md shows it."""
    pixels, _ = pictures(in_onnx, "shards_test")
    (path,) = [p for p in manifests.load(in_onnx, "exported_model").paths if p.suffix == ".onnx"]
    session = InferenceSession(path)
    (asked,) = session.get_inputs()
    assert (asked.name, asked.type, asked.shape[1:]) == ("pictures", "tensor(uint8)", [20, 20, 1])
    expected = LightModel.open(in_onnx, "onnx").outputs(pixels)
    for count in (1, 7):
        (found,) = session.run(None, {"pictures": pixels[:count]})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


def test_onnx_needs_its_extra_before_anything_runs_and_where_it_is_read(
    in_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = extras.Extra("onnx", ("no_such_module",), "ONNX Runtime")
    monkeypatch.setattr(extras, "ONNX_RUNTIME", missing)
    with pytest.raises(ConfigError, match=r"ONNX Runtime runs .* pip install 'emberline\[onnx\]'"):
        LightModel.open(in_onnx, "onnx")
    config = config_of(SECTIONS | {"export": {"forms": ("onnx", "int8")}})
    monkeypatch.setattr(extras, "EXPORT_ONNX", missing)
    with pytest.raises(ConfigError, match=r"export-model needs .* pip install 'emberline\[onnx\]'"):
        run(config, in_onnx, "export-model")


@pytest.mark.faults
def test_a_network_of_mixed_precision_is_exported_in_float32(
    tmp_path: Path, publish_shards: Publish
) -> None:
    publish_shards(tmp_path)
    settings = {"precision": "mixed_bfloat16", "model": "resnet", "epochs": 2}
    config = config_of(SECTIONS | {"export": {"calibration_pictures": 40}}, **settings)
    run(config, tmp_path, "train-cnn", "export-model")
    assert {each.distance for each in told(tmp_path).forms[1:3]} <= {0, 1 / 40, 2 / 40}


# --------------------------------------------------------------------------------------------------
# factors


@pytest.fixture(scope="module")
def of_factors(tmp_path_factory: pytest.TempPathFactory, publish_shards: Publish) -> Path:
    """A root of predicted factors, and of lists: the user 0's of what has a picture after one that
    has none, the user 1's of nothing new, and the user 2's of two new items.
    """
    root = tmp_path_factory.mktemp("factors")
    publish_shards(root, "factors")
    factors = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    write(root, "user_factors", {"user": [0, 1, 2], "factors": list(factors)}, rank=3)
    places = [(0, "cnn", 900), (0, "cnn", 5), (1, "als", 6), (2, "cnn", 7), (2, "cnn", 8)]
    users, models, items = zip(*places, strict=True)
    ranks, scores = [1, 2, 1, 1, 2], [0.5] * 5
    columns = {"user": users, "rank": ranks, "item": items, "score": scores, "model": models}
    write(root, "recommendations", columns)
    run(config_of(LISTS, epochs=2), root, "train-cnn", "predict-items", LOOKING)
    return root


def write(root: Path, name: str, columns: dict[str, Any], rank: int | None = None) -> None:
    schema, by = TABLES[name], ProducedBy("by hand", "0" * 64, "20250101T000000-00000000")
    rows = pa.table(columns, schema=schema)
    folder = root / name / manifests.run_folder(by.fingerprint, by.run_id)
    part = write_part([rows], folder, "part-00000", schema)
    facts = (name, "table", fields_of(schema), len(rows), [part], by)
    manifests.commit(root, Manifest(*facts, rank=rank))


def test_of_each_person_the_first_place_that_is_by_a_picture_is_looked_at(of_factors: Path) -> None:
    found = table(of_factors, "picture_reasons").sort_by("user")
    assert found.select(["user", "item"]).to_pylist() == [
        {"user": 0, "item": 5},
        {"user": 2, "item": 7},
    ]
    items = table(of_factors, "predicted_factors").sort_by("item")["factors"].to_pylist()
    users = table(of_factors, "user_factors")["factors"].to_pylist()
    scores = [np.dot(users[0], items[5]), np.dot(users[2], items[7])]
    np.testing.assert_allclose(found["score"].to_numpy(), scores, rtol=1e-4, atol=1e-5)
    assert_adds_up(found)


def assert_adds_up(found: pa.Table) -> None:
    """What pixels add is what a score is more than that of the background alone."""
    heat = np.array(found["heat"].to_pylist()).sum(axis=1)
    added = found["score"].to_numpy() - found["plain_score"].to_numpy()
    np.testing.assert_allclose(heat, added, rtol=0.01, atol=1e-4)


def test_test_pictures_are_looked_at_of_which_the_network_is_right_and_wrong(
    trained: tuple[Path, list[int]],
) -> None:
    root, _ = trained
    found = table(root, "class_reasons").to_pylist()
    rows = {row["item"]: row for row in table(root, "predicted_classes").to_pylist()}
    truth = {row["item"]: row for row in table(root, "shards_all").to_pylist()}
    tested = {item for item, row in truth.items() if row["split"] == "test"}
    wrong = {item for item in tested if rows[item]["predicted"] != truth[item]["label"]}
    surest = sorted(wrong, key=lambda item: (-rows[item]["probability"], item))[:2]
    chosen = [row["item"] for row in found]
    assert len({*chosen}) == 4 and {*chosen} <= tested
    assert [item for item in chosen if item in wrong] == surest
    for row in found:
        assert row["predicted"] == rows[row["item"]]["predicted"]
        assert row["label"] == truth[row["item"]]["label"]
    assert_adds_up(table(root, "class_reasons"))


def test_factors_are_predicted_in_their_own_space_and_exported_with_their_rank(
    tmp_path: Path, publish_shards: Publish, publish: Publish
) -> None:
    """Nobody has rated a picture's item: forms are measured by the cosine."""
    publish_shards(tmp_path, "factors")
    publish(tmp_path, "split-ratings", "holdout", [])
    publish(tmp_path, "train-als", "user_factors", [{"user": 0, "factors": [1.0] * 3}], rank=3)
    few = {"export": {"forms": ["int8"], "calibration_pictures": 40}}
    run(config_of(FACTORS | few, epochs=10, components=2), tmp_path)
    truth = np.array([picture.mean() for picture in _halves(tmp_path)]) > 0
    predicted = table(tmp_path, "predicted_factors")
    assert set(predicted["model"].to_pylist()) == {"cnn"}
    factors = np.array(predicted.sort_by("item")["factors"].to_pylist())
    assert factors.shape == (130, 3)
    assert np.abs(factors - np.stack([truth, ~truth, truth], axis=1)).mean() < 0.2
    assert manifests.load(tmp_path, "predicted_factors").manifest.rank == 3
    keras, int8 = told(tmp_path).forms
    assert told(tmp_path).measured_by == "cosine"
    assert keras.value == pytest.approx(1) and 0.98 < int8.value < 1 and int8.holds
    assert manifests.load(tmp_path, "exported_model").manifest.rank == 3
    model, (pixels, _) = LightModel.open(tmp_path), pictures(tmp_path, "shards_all")
    assert np.abs(model.outputs(pixels) - factors).mean() < 0.05
    with pytest.raises(NotServedError, match="predicts factors"):
        model.classify(pixels)


def _halves(root: Path) -> list[np.ndarray]:
    """Each picture's lower half less its upper half."""
    rows = table(root, "shards_all").sort_by("item")["pixels"].to_pylist()
    pictures = [np.frombuffer(row, np.uint8).reshape(20, 20).astype(int) for row in rows]
    return [picture[10:] - picture[:10] for picture in pictures]


# --------------------------------------------------------------------------------------------------
# faults


def test_errors_cross_the_process_with_their_kind_and_leave_no_dataset(
    tmp_path: Path, publish_shards: Publish
) -> None:
    """All in one child process, which goes on after each."""
    publish_shards(tmp_path)
    root = tmp_path
    with pytest.raises(
        TrainingError,
        match=r"epoch 1, step 2 of 6: the loss is (nan|inf); its rows are from .*part-000",
    ):
        run(
            config_of(SECTIONS, optimizer={"learning_rate": 1e30, "name": "sgd"}), root, "train-cnn"
        )
    assert not (root / "cnn" / "manifest.json").exists()
    part = manifests.load(root, "shards_train").paths[0]
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 3] ^= 0xFF
    part.write_bytes(damaged)
    with pytest.raises(DataError, match=f"{part.name} was altered"):
        run(config_of(SECTIONS), root, "train-cnn")
    assert not list((root / "cnn").glob("*"))


def start(config: Config, root: Path) -> "subprocess.Popen[str]":
    """Train in a process group of its own."""
    (root / "pipeline.json").write_text(config.model_dump_json())
    program = (
        "import sys; from pathlib import Path; from emberline import logs, stages; from"
        " emberline.runs import runner; from emberline.sections.config"
        " import Config\nroot = Path(sys.argv[1]); config ="
        " Config.model_validate_json((root / 'pipeline.json').read_text())\nlogs.configure('INFO');"
        " runner.run(config, root, stages.select(config, only='train-cnn'))\nassert 'tensorflow'"
        " not in sys.modules and 'pyspark' not in sys.modules"
    )
    arguments = [sys.executable, "-c", program, str(root)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process: "subprocess.Popen[str]") -> str:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return errors


@pytest.mark.faults
@pytest.mark.parametrize(
    ("model", "is_taught"), [("cifar", False), ("resnet", False), ("cifar", True)]
)
def test_a_training_killed_within_an_epoch_goes_on_to_the_same_bits(
    model: str,
    is_taught: bool,
    tmp_path: Path,
    trained: tuple[Path, list[int]],
    publish_shards: Publish,
    weights: Weights,
) -> None:
    """The parent alone is killed: the trainer must not outlive it, and the next run must go on
    from its checkpoint.
    """
    config = config_of(
        SECTIONS,
        model=model,
        teacher=str(trained[0]) if is_taught else None,
        epochs=30,
        checkpoint_steps=4,
        input={"shift": 2},
        optimizer={"name": "adamw", "schedule": "cosine"},
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for root in (whole, broken):
        publish_shards(root)
    process = start(config, broken)
    checkpoints = kill_between_epochs(process, broken)
    assert checkpoints, "it was not killed within an epoch"
    resumed = finish(start(config, broken))
    assert "training_resumed" in resumed
    assert int(resumed.split("training_resumed epoch=")[1].split("step=")[1].split()[0]) == 4
    finish(start(config, whole))
    left, right = weights(whole), weights(broken)
    assert left.keys() == right.keys() and len(left) > 8
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name
    unbroken, joined = (
        manifests.load(root, "cnn").manifest.info["history"] for root in (whole, broken)
    )
    assert [row["loss"] for row in unbroken] == [row["loss"] for row in joined]


def kill_between_epochs(process: "subprocess.Popen[str]", root: Path) -> bool:
    """Kill the parent alone as soon as the newest checkpoint is of step 4 of an epoch's 6,
    after some epochs.
    """
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        steps = [
            int(path.stem.removeprefix("step-"))
            for path in root.glob("_work/train-cnn/*/checkpoints/step-*.npz")
        ]
        if steps and max(steps) > 12 and max(steps) % 6 == 4:
            trainer = child_of(process.pid)
            os.kill(trainer, signal.SIGSTOP)  # so that the newest checkpoint stays the newest
            os.kill(process.pid, signal.SIGKILL)
            os.kill(trainer, signal.SIGCONT)
            process.communicate()
            wait_until_gone(trainer)
            newest = max(
                int(path.stem.removeprefix("step-"))
                for path in root.glob("_work/train-cnn/*/checkpoints/step-*.npz")
            )
            return newest % 6 == 4
        time.sleep(0.001)
    return False


def child_of(parent: int) -> int:
    (child,) = [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[1] == str(parent)
    ]
    return child


def wait_until_gone(process: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline, "the trainer outlived its parent"
        time.sleep(0.05)


def test_planning_starts_no_framework(tmp_path: Path) -> None:
    pipeline = tmp_path / "p.toml"
    pipeline.write_text(
        '[shop]\n[cnn]\n[predict]\n[images]\npath = "dataset:shop/*.parquet"\n[shards]\ntask ='
        ' "class"\n'
    )
    program = (
        "import sys; from emberline.cli.main import main\n"
        f"sys.argv = ['emberline', 'plan', {str(pipeline)!r}, '--format', 'json']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'tensorflow', 'keras', 'pyspark', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    planned = [row["stage"] for row in json.loads(done.stdout)]
    assert planned == [
        "generate-shop",
        "prepare-images",
        "export-shards",
        "train-cnn",
        "predict-items",
    ]


def test_replicas_that_do_not_divide_the_streams_are_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"team.replicas = 3 does not divide input.streams = 8; 1 and 2 and 4 and 8 do",
    ):
        config_of(SECTIONS, team={"replicas": 3})
