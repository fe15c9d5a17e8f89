"""Log lines as an operator's grep and a log collector read them."""

import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline import logs
from emberline.logs import event

PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's logger as a new process finds it, and as it was afterwards."""
    logger = logging.getLogger("emberline")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers.clear()
    logger.propagate = True
    yield logger
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


def _parsed(line: str) -> dict[str, str]:
    """The pairs of a line, quotes and escapes undone."""
    pairs = dict(PAIR.findall(line))
    assert (
        "".join([line.partition(" ")[0], *(f" {key}={value}" for key, value in pairs.items())])
        == line
    )
    return {key: _unquoted(value) for key, value in pairs.items()}


def _unquoted(value: str) -> str:
    return value[1:-1].encode("ascii").decode("unicode_escape") if value.startswith('"') else value


def test_plain_values_stand_as_they_are() -> None:
    line = event(
        "stage_started",
        stage="train-als",
        path="/data/a_b-1.csv",
        files="*.csv",
        share="5%",
        rows=1000,
        none=None,
    )
    assert (
        line == "stage_started stage=train-als path=/data/a_b-1.csv files=*.csv share=5% rows=1000"
        " none=None"
    )


def test_seconds_are_shown_to_the_millisecond() -> None:
    assert event("done", seconds=1.23456) == "done seconds=1.235"


def test_values_that_could_be_misread_are_quoted() -> None:
    assert (
        event("e", a="two words", b="", c="x=1", d='say "no"', e="C:\\x")
        == r'e a="two words" b="" c="x=1" d="say \"no\"" e="C:\\x"'
    )


def test_no_value_starts_a_line_of_its_own() -> None:
    line = event("e", title="evil\n2025-01-01 INFO emberline stage_finished", bell="\x07\x1b[31m")
    assert line == r'e title="evil\n2025-01-01 INFO emberline stage_finished" bell="\x07\x1b[31m"'


@given(
    st.dictionaries(
        st.sampled_from(["path", "title", "reason", "rows"]), st.text(max_size=12), max_size=3
    )
)
@settings(max_examples=150)
def test_what_was_logged_can_be_read_back(values: dict[str, str]) -> None:
    line = event("stage_finished", **values)
    assert len(line.splitlines()) == 1
    assert _parsed(line) == values


@pytest.mark.parametrize(
    "key",
    [
        "secret",
        "fs.s3a.secret.key",
        "fs.s3a.access.key",
        "db_password",
        "PASSWD",
        "api_key",
        "apiKey",
        "private-key",
        "authToken",
    ],
)
def test_what_a_key_calls_secret_is_not_shown(key: str) -> None:
    assert logs.is_secret(key)
    assert event("e", **{key: "hush", "rank": 5}) == f"e {key}=*** rank=5"


@pytest.mark.parametrize(
    "key", ["rank", "path", "user_id", "key", "keep", "columns.item_id", "spark.executor.memory"]
)
def test_other_keys_are_shown(key: str) -> None:
    assert not logs.is_secret(key)


def test_a_line_has_time_level_and_logger_and_is_written_once(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logs.configure()
    logging.getLogger("emberline.runs.runner").info(event("stage_started", stage="train-als"))
    out, err = capsys.readouterr()
    assert out == ""
    assert caplog.records == [], "handlers of the root logger would write it again"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO emberline\.runs\.runner stage_started"
        r" stage=train-als\n",
        err,
    )


def test_configuring_again_changes_the_level_and_nothing_else(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    logs.configure("WARNING")
    logger.info("unseen")
    logger.warning("seen")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["seen"]


def test_importing_the_package_configures_nothing() -> None:
    code = (
        "import logging, emberline.cli.app; print(logging.getLogger('emberline').handlers,"
        " logging.getLogger().handlers)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("[] []\n", 0)


@pytest.fixture
def hidden() -> Iterator[set[str]]:
    """What is to be hidden, as it was afterwards."""
    before = set(logs._hidden)
    yield logs._hidden
    logs._hidden.clear()
    logs._hidden.update(before)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://anna:hush@shop.example/log.csv", "https://***@shop.example/log.csv"),
        ("https://anna:hu/sh@shop.example/log.csv", "https://***@shop.example/log.csv"),
        ("jdbc:db2://anna:hush@db:5432/x is unknown", "jdbc:db2://***@db:5432/x is unknown"),
        (
            "https://a.blob.core.windows.net/c/f?sv=2024&sig=hush%3D",
            "https://a.blob.core.windows.net/c/f?***",
        ),
        ("https://x.example/f?X-Amz-Signature=hush, then", "https://x.example/f?*** then"),
        ("two: ftp://u:hush@one/ and ftp://u:hush@two/", "two: ftp://***@one/ and ftp://***@two/"),
    ],
)
def test_a_uri_is_shown_without_user_and_query(text: str, shown: str) -> None:
    assert logs.public(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/day=1/part-?.csv",
        "s3://bucket/a@b.csv",
        "anna@example.org",
        "is 3 = 3?",
        "/data/a?b=c",
        "http://x/y",
    ],
)
def test_other_texts_are_shown_whole(text: str) -> None:
    assert logs.public(text) == text


def test_hidden_values_are_left_out_of_messages_and_log_lines(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], hidden: set[str]
) -> None:
    logs.hide(["?sv=2024&sig=Kx9/==", "-Dstore=hush -Dquiet", "abc"])
    assert (
        logs.public("spark was ?sv=2024&sig=Kx9/==; abc; -Dstore=hush") == "spark was ***; abc; ***"
    )
    logs.configure()
    logger.warning("refused ?sv=2024&sig=Kx9/==")
    assert capsys.readouterr().err.endswith("refused ***\n")


@pytest.mark.parametrize(
    ("name", "value", "may"),
    [
        ("fs.azure.sas.box.account.blob.core.windows.net", "?sv=2024&sig=abc", True),
        ("spark.hadoop.fs.azure.account.key.x.dfs.core.windows.net", "abcd==", True),
        ("spark.authenticate.secret", "hush", True),
        ("spark.ssl.keyStore", "hush", True),
        ("spark.driver.extraJavaOptions", "-Dpassword=hush", True),
        ("fs.unheard.of", "hush", True),
        ("spark.hadoop.fs.s3a.path.style.access", "true", False),
        ("spark.hadoop.fs.s3a.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem", False),
        ("spark.hadoop.fs.s3a.endpoint", "http://127.0.0.1:9000", False),
        ("spark.hadoop.fs.defaultFS", "hdfs://name-node:9000", False),
        ("spark.hadoop.x", "jdbc://anna:hush@db", True),
        ("spark.executor.memory", "4g", False),
        ("spark.local.dir", "/scratch", False),
        ("spark.jars.packages", "org.apache.hadoop:hadoop-aws:3.4.1", False),
    ],
)
def test_a_setting_of_spark_may_be_secret_unless_it_is_known_not_to_be(
    name: str, value: str, may: bool
) -> None:
    assert logs.may_be_secret(name, value) is may


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            [
                "/x/bin/emberline",
                "run",
                "pipes/demo.toml",
                "--set=spark.conf.fs.s3a.secret.key=hush",
            ],
            "emberline run pipes/demo.toml --set=spark.conf.fs.s3a.secret.key=...",
        ),
        (
            ["emberline", "run", "--set", "fs.azure.sas.c=?sig=hush", "a.toml"],
            "emberline run --set fs.azure.sas.c=... a.toml",
        ),
        (
            ["emberline", "run", "a.toml", "--root", "hush", "--force", "-v"],
            "emberline run a.toml --root ... --force -v",
        ),
        (
            ["/x/jobs/train_als.py", "--config", "a.toml", "https://u:hush@h"],
            "train_als.py --config a.toml ...",
        ),
        (["/x/kernel.py", "-f", "/hush.json", "--token=hush"], "kernel.py -f ... --token=..."),
        (["Hush"], "Hush"),
        ([], ""),
    ],
)
def test_a_command_line_shows_names_and_no_values(command: list[str], shown: str) -> None:
    assert logs.public_command(command) == shown
