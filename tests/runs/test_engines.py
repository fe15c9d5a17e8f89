"""Which engine calls a stage."""

from pathlib import Path

import pytest

from emberline import stages
from emberline.datasets.listing import Listing, RawFile
from emberline.runs import engines
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig
from emberline.stages import STAGES

RATINGS = {"path": "x", "value": "one", "columns": {"user_id": "u", "item_id": "i"}}
SUBMITTED = {"PYSPARK_GATEWAY_PORT": "1"}


def chosen(root: Path, environment: dict[str, str] | None = None, **spark: str) -> str:
    config = Config.model_validate({"ratings": RATINGS, "als": {}, "spark": spark})
    (stage,) = stages.select(config, "train-als")
    return engines.choose(stage, config, Roots(root), Inputs(), environment or {})


def test_blocks_are_worked_on_here_where_spark_would_run_on_this_machine(root: Path) -> None:
    assert chosen(root) == "here"
    assert chosen(root, master="local[2]") == "here"
    assert chosen(root, master="local") == "here"


@pytest.mark.parametrize(
    "master", ["spark://host:7077", "yarn", "k8s://host", "local-cluster[2,1,512]"]
)
def test_on_a_cluster_and_under_spark_submit_spark_works_on_them(root: Path, master: str) -> None:
    assert chosen(root, master=master) == "spark"
    assert chosen(root, SUBMITTED) == "spark"


def test_the_pipeline_file_may_say_otherwise(root: Path) -> None:
    assert chosen(root, engine="spark") == "spark"
    assert chosen(root, SUBMITTED, engine="here") == "here"


def test_what_does_not_fit_memory_goes_to_spark(
    root: Path, publish: object, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"user": user, "item": item, "value": 1.0} for user in range(300) for item in range(99)]
    publish(root, "split-ratings", "ratings", rows)  # type: ignore[operator]
    assert chosen(root, driver_memory="2g") == "here"
    caplog.set_level("INFO")
    assert chosen(root, driver_memory="500k") == "spark"
    assert "engine_chosen stage=train-als engine=spark needed_bytes=" in caplog.text
    assert "memory_bytes=512000" in caplog.text


def test_a_damaged_table_that_is_only_counted_is_not_this_stages_business(root: Path) -> None:
    (root / "users").mkdir(parents=True)
    (root / "users" / "manifest.json").write_text("{")
    assert chosen(root) == "here"


def test_stages_of_other_engines_keep_theirs(root: Path) -> None:
    config = Config.model_validate({"spark": {"engine": "here"}})
    (stage,) = [stage for stage in STAGES if stage.name == "train-forest"]
    assert engines.choose(stage, config, Roots(root), Inputs(), {}) == "spark"


def test_raw_files_that_do_not_fit_memory_go_to_spark(root: Path) -> None:
    config = Config.model_validate({"ratings": RATINGS, "spark": {"driver_memory": "1g"}})
    (stage,) = stages.select(config, "prepare-ratings")

    def chosen_for(name: str, size: int) -> str:
        listing = Listing([RawFile(f"/{name}", name, size, 0)], {})
        return engines.choose(stage, config, Roots(root), Inputs(raw={"x": listing}), {})

    assert chosen_for("a.csv", 40 << 20) == "here"
    assert chosen_for("a.csv", 60 << 20) == "spark"
    assert chosen_for("a.csv.gz", 11 << 20) == "here"
    assert chosen_for("a.csv.gz", 15 << 20) == "spark"


def test_pictures_of_which_too_much_is_to_be_known_go_to_spark(root: Path) -> None:
    local = {"driver_memory": "700m", "master": "local[2]"}
    config = Config.model_validate({"images": {"path": "x"}, "spark": local})
    (stage,) = stages.select(config, "prepare-images")

    def chosen_for(name: str, size: int, files: int = 1) -> str:
        listed = [
            RawFile(f"/{number}{name}", f"{number}{name}", size, 0) for number in range(files)
        ]
        return engines.choose(
            stage, config, Roots(root), Inputs(raw={"x": Listing(listed, {})}), {}
        )

    assert chosen_for(".jpg", 5 << 20, files=1000) == "here"
    assert chosen_for(".jpg", 10, files=90_000) == "spark"
    assert chosen_for(".parquet", 100 << 20) == "here"
    assert chosen_for(".parquet", 1 << 30) == "spark"


def test_a_local_master_says_how_many_cores() -> None:
    masters = {"local": 1, "local[3]": 3, "local[4,2]": 4, "local[*]": None, "yarn": None}
    assert {name: SparkConfig(master=name).cores for name in masters} == masters
    assert SparkConfig(driver_memory="1500m").memory == 1500 << 20
