"""Pipeline files, right and wrong; the messages are part of the product."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from emberline import pipelines
from emberline.errors import ConfigError
from emberline.sections.config import Config

RATINGS = """
[ratings]
path = "data/ratings.csv"
columns = { user_id = "u", item_id = "i", value = "v", timestamp = "t" }
"""
PIPELINE = RATINGS + "[als]\n[recommend]\n"
PIPELINES = Path(__file__).parents[1] / "jobs" / "pipelines"
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(toml, *overrides)` reads the text as the file night.toml."""

    def load_text(toml: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "night.toml"
        path.write_bytes(toml.encode() if isinstance(toml, str) else toml)
        return pipelines.load(path, overrides)

    return load_text


def _refused(load: Load, toml: str | bytes, *overrides: str) -> str:
    """The message of the ConfigError, which ends a process with 2."""
    with pytest.raises(ConfigError) as refused:
        load(toml, *overrides)
    assert refused.value.exit_code == 2
    return str(refused.value)


def _settings(config: Config, section: str) -> Any:
    found = getattr(config, section)
    assert found is not None
    return found


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_pipelines_of_the_project_are_valid(path: Path) -> None:
    assert pipelines.load(path).root == f"runs/{path.stem}"


def test_a_section_is_there_only_if_the_file_has_it(load: Load) -> None:
    config = load("[als]\nrank = 5\n")
    assert _settings(config, "als").rank == 5
    assert (config.shop, config.ratings, config.cosine, config.recommend, config.evaluate) == (
        None,
    ) * 5


def test_a_root_in_the_file_comes_before_its_name(load: Load) -> None:
    assert load("").root == "runs/night"
    assert load('root = "/data/x"').root == "/data/x"


def test_an_unknown_key_is_named_with_the_one_that_was_meant(load: Load) -> None:
    assert (
        _refused(load, "[als]\nrnak = 5\n")
        == "night.toml: unknown key als.rnak (did you mean rank?)"
    )
    assert (
        _refused(load, "[ratingz]\n") == "night.toml: unknown key ratingz (did you mean ratings?)"
    )
    assert _refused(load, RATINGS, "ratings.columns.userid=u").endswith(
        "ratings.columns.userid (did you mean user_id?)"
    )


def test_an_unknown_key_like_no_other_is_answered_with_those_there_are(load: Load) -> None:
    known = "sides, top_k, weighting, center, shrinkage, min_support, max_ratings, ratings, seed"
    expected = f"night.toml: unknown key cosine.xyz (known: {known})"
    assert _refused(load, "[cosine]\nxyz = 5\n") == expected


def test_an_unknown_key_in_a_list_of_tables_is_named_with_its_place(load: Load) -> None:
    rule = '[[ratings.reject]]\ncolumn = "n"\npattern = "^C"\nreason = "r"\n'
    message = _refused(load, RATINGS + rule + rule + 'patern = "x"\n')
    assert message == "night.toml: unknown key ratings.reject.1.patern (did you mean pattern?)"


def test_several_mistakes_are_told_at_once(load: Load) -> None:
    message = _refused(load, '[als]\nrnak = 5\nalpha = 0\n[cosine]\ntop_k = "9"\n')
    assert message.split("; ") == [
        "night.toml: als.alpha: Input should be greater than 0, found 0",
        "night.toml: unknown key als.rnak (did you mean rank?)",
        "night.toml: cosine.top_k: Input should be a valid integer, found '9'",
    ]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[als]\nrank = 5.0\n", "als.rank: Input should be a valid integer, found 5.0"),
        ("[als]\nrank = true\n", "als.rank: Input should be a valid integer, found True"),
        ("[als]\nrank = 0\n", "als.rank: Input should be greater than 0, found 0"),
        (
            '[als]\nnonnegative = "yes"\n',
            "als.nonnegative: Input should be a valid boolean, found 'yes'",
        ),
        (
            '[als]\nfeedback = "Implicit"\n',
            "als.feedback: Input should be 'auto', 'explicit' or 'implicit', found 'Implicit'",
        ),
        ("[als]\nreg_param = nan\n", "als.reg_param: Input should be a finite number, found nan"),
        ("[als]\nreg_param = inf\n", "als.reg_param: Input should be a finite number, found inf"),
        ("als = 3", "als: Input should be a valid dictionary or instance of AlsConfig, found 3"),
        ('[evaluate]\nk = ["5"]', "evaluate.k.0: Input should be a valid integer, found '5'"),
        (
            '[cosine]\nsides = ["item"]',
            "cosine.sides.0: Input should be 'items' or 'users', found 'item'",
        ),
        (
            '[cosine]\nweighting = "idf"',
            "cosine.weighting: Input should be 'auto', 'none', 'tf-idf' or 'bm25', found 'idf'",
        ),
        (
            "[cosine]\nshrinkage = -1",
            "cosine.shrinkage: Input should be greater than or equal to 0, found -1",
        ),
        (
            "[cosine]\nmax_ratings = 1",
            "cosine.max_ratings: Input should be greater than or equal to 2, found 1",
        ),
        (
            '[cosine]\nweighting = "bm25"\ncenter = "user"',
            'cosine: weighting = "bm25" is for lists, center = "user" for ratings: remove one',
        ),
        (
            "[cosine]\nsides = []",
            "cosine.sides: Tuple should have at least 1 item after validation, not 0",
        ),
        ('[ratings]\ncolumns = { user_id = "u", item_id = "i" }', "ratings.path is missing"),
        (
            '[spark]\ndriver_memory = "2 GB"',
            r"spark.driver_memory: String should match pattern '^\d+[kmgt]$', found '2 GB'",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected_and_found(
    load: Load, toml: str, message: str
) -> None:
    assert _refused(load, toml).split("; ")[0].startswith(f"night.toml: {message}")


@pytest.mark.parametrize(
    "master",
    ["local", "local[4]", "local[*]", "yarn", "spark://host:7077", "k8s://https://host:6443"],
)
def test_a_master_that_spark_knows_is_accepted(load: Load, master: str) -> None:
    assert load("", f"spark.master={master}").spark.master == master


@pytest.mark.parametrize("master", ["lokal[4]", "localhost", "yarn-client", "host:7077", ""])
def test_a_master_that_spark_does_not_know_is_refused(load: Load, master: str) -> None:
    message = _refused(load, "", f"spark.master={master}")
    assert message.startswith(
        "night.toml: spark.master: expected local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT,"
        " found "
    )


def test_a_whole_number_will_do_for_a_fraction(load: Load) -> None:
    assert _settings(load("[als]\nalpha = 10\n"), "als").alpha == 10.0


def test_nobody_changes_a_config_once_it_is_read(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        _settings(load("[als]\n"), "als").rank = 7


def test_an_override_needs_no_quotes_for_text(load: Load) -> None:
    config = load(
        RATINGS,
        "ratings.path=/data/2025/*.csv",
        'ratings.separator="\\t"',
        "ratings.columns.user_id = customer id",
    )
    ratings = _settings(config, "ratings")
    assert (ratings.path, ratings.separator, ratings.columns.user_id) == (
        "/data/2025/*.csv",
        "\t",
        "customer id",
    )


def test_a_date_stands_where_the_texts_of_the_file_have_its_place(tmp_path: Path) -> None:
    pipeline = _dated(tmp_path, 'root = "runs/{date}"', 'path = "s3://log/{date:%Y/%m}/{date}.csv"')
    config = pipelines.load(
        pipeline, ["spark.conf.spark.app.name=nightly {date:%d}"], date(2025, 1, 31)
    )
    assert config.root == f"{tmp_path}/runs/2025-01-31"
    assert config.ratings is not None and config.ratings.path == "s3://log/2025/01/2025-01-31.csv"
    assert config.spark.conf["spark.app.name"] == "nightly 31"
    assert pipelines.is_dated(pipeline)


def test_a_place_for_a_date_needs_one(tmp_path: Path) -> None:
    pipeline = _dated(tmp_path, 'root = "runs/all"', 'path = "log/{date}.csv"')
    with pytest.raises(
        ConfigError, match=r"ratings: path holds \{date\}; say which with --date YYYY-MM-DD"
    ):
        pipelines.load(pipeline)
    assert not pipelines.is_dated(pipeline, ["ratings.path=log/all.csv"])


def test_a_date_that_nothing_asks_for_changes_nothing(tmp_path: Path) -> None:
    pipeline = _dated(tmp_path, 'root = "runs/all"', 'path = "log/{a,b}/{dated}.csv"')
    assert pipelines.load(pipeline, (), date(2025, 1, 31)) == pipelines.load(pipeline)


def _dated(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "nightly.toml"
    columns = 'columns = { user_id = "u", item_id = "i", value = "v" }'
    path.write_text("\n".join([lines[0], "[ratings]", columns, *lines[1:]]))
    return path


@pytest.mark.parametrize(
    "path",
    ["s3://bucket/a=b", "C:/data", "a#b", "[x].csv", "dataset:shop/events.csv", "~/x y", "'", ""],
)
def test_an_override_keeps_a_path_as_it_is_written(load: Load, path: str) -> None:
    assert _settings(load(RATINGS, f"ratings.path={path}"), "ratings").path == path


def test_an_override_is_a_toml_value_where_it_can_be_one(load: Load) -> None:
    config = load(
        PIPELINE,
        "als.rank=7",
        "als.alpha=2.5",
        "als.nonnegative=true",
        "cosine.sides=['users']",
        "cosine.top_k=1_0",
    )
    assert (_settings(config, "als").rank, _settings(config, "als").alpha) == (7, 2.5)
    assert _settings(config, "als").nonnegative is True
    assert (_settings(config, "cosine").sides, _settings(config, "cosine").top_k) == (
        ("users",),
        10,
    )


def test_an_override_changes_one_key_and_keeps_its_neighbours(load: Load) -> None:
    config = load(PIPELINE, "ratings.columns.user_id=customer")
    columns = _settings(config, "ratings").columns
    assert (columns.user_id, columns.item_id, columns.value) == ("customer", "i", "v")


def test_the_last_of_two_overrides_counts(load: Load) -> None:
    assert _settings(load("", "als.rank=7", "als.rank=8"), "als").rank == 8


def test_an_override_of_a_spark_setting_keeps_its_dots_and_stays_text(load: Load) -> None:
    toml = '[spark]\nconf = { "spark.ui.enabled" = "false" }\n'
    overrides = [
        "spark.conf.a.b=x y",
        "spark.conf.spark.cores=8",
        "spark.conf.c.d=true",
        'spark.conf.e.f="quoted"',
    ]
    assert load(toml, *overrides).spark.conf == {
        "spark.ui.enabled": "false",
        "a.b": "x y",
        "spark.cores": "8",
        "c.d": "true",
        "e.f": "quoted",
    }


@pytest.mark.parametrize("override", ["als.rank", "=5", " = 5", "", "als.rank:5"])
def test_an_override_without_a_key_or_a_value_is_refused(load: Load, override: str) -> None:
    assert "expected section.key=value" in _refused(load, "", override)


def test_an_override_below_a_value_is_refused(load: Load) -> None:
    assert (
        _refused(load, "[als]\nrank = 5\n", "als.rank.x=1")
        == "--set als.rank.x: rank is a value, not a section"
    )


def test_an_override_is_checked_like_the_file(load: Load) -> None:
    assert (
        _refused(load, "", "als.rnak=5") == "night.toml: unknown key als.rnak (did you mean rank?)"
    )


def _split(settings: str) -> str:
    """A pipeline whose section [split] has these settings, as an inline table would."""
    return RATINGS + "\n[split]\n" + settings.replace(", ", "\n")


@pytest.mark.parametrize(
    ("holdout", "what"),
    [
        ("", {"by": "none"}),
        ('by = "none"', {"by": "none"}),
        ('by = "fraction", fraction = 0.2', {"by": "fraction", "fraction": 0.2}),
        ('by = "time", after = "2011-11-01"', {"by": "time", "after": "2011-11-01 00:00:00"}),
        (
            'by = "time", after = "2011-11-01 08:30:00"',
            {"by": "time", "after": "2011-11-01 08:30:00"},
        ),
        ('by = "time", after = 2011-11-01', {"by": "time", "after": "2011-11-01 00:00:00"}),
        (
            'by = "time", after = 2011-11-01T08:30:00',
            {"by": "time", "after": "2011-11-01 08:30:00"},
        ),
        (
            'by = "time", after = 2011-11-01T08:30:00Z',
            {"by": "time", "after": "2011-11-01 08:30:00+00:00"},
        ),
        ('by = "time", last_days = 7', {"by": "time", "last_days": 7.0}),
        ('by = "last", n = 2', {"by": "last", "n": 2}),
        ('by = "last", n = 2, cold_items = 0.1', {"by": "last", "n": 2, "cold_items": 0.1}),
    ],
)
def test_a_holdout_has_the_one_key_that_its_kind_needs(
    load: Load, holdout: str, what: dict[str, Any]
) -> None:
    settings = _settings(load(_split(holdout)), "split").protocol()
    nothing = {"fraction": None, "after": None, "last_days": None, "n": None, "cold_items": 0.0}
    assert settings == nothing | what | {"seed": 1}


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        ('by = "fraction"', 'by = "fraction" goes with fraction, found nothing'),
        ('by = "fraction", n = 2', 'by = "fraction" goes with fraction, found n'),
        (
            'by = "fraction", fraction = 0.2, n = 2',
            'by = "fraction" goes with fraction, found fraction, n',
        ),
        ('by = "time"', 'by = "time" goes with after or last_days, found nothing'),
        (
            'by = "time", after = "2011-11-01", last_days = 7',
            'by = "time" goes with after or last_days, found after, last_days',
        ),
        ('by = "last", fraction = 0.2', 'by = "last" goes with n, found fraction'),
        (
            "fraction = 0.2",
            'by = "none" goes with none of fraction, after, last_days, n, folds, pairs, found'
            " fraction",
        ),
    ],
)
def test_a_holdout_with_keys_that_do_not_fit_is_refused(
    load: Load, holdout: str, message: str
) -> None:
    assert _refused(load, _split(holdout)) == f"night.toml: split: {message}"


@pytest.mark.parametrize("after", ['"yesterday"', '"2011-13-01"', '""'])
def test_a_time_that_is_none_is_refused(load: Load, after: str) -> None:
    message = _refused(load, _split(f'by = "time", after = {after}'))
    assert (
        message == "night.toml: split.after: expected a time such as 2011-11-01 or 2011-11-01"
        " 08:00:00"
    )


@pytest.mark.parametrize("by", ["by = 'time', last_days = 7", "by = 'last', n = 1"])
def test_a_holdout_by_time_needs_a_timestamp(load: Load, by: str) -> None:
    toml = _split(by).replace(', timestamp = "t"', "")
    assert "needs ratings.columns.timestamp" in _refused(load, toml)


def test_a_rating_needs_a_value_and_a_counted_event_has_none(load: Load) -> None:
    without = RATINGS.replace('value = "v", ', "")
    assert 'value = "rating" needs columns.value' in _refused(load, without)
    assert 'value = "one" ignores columns.value' in _refused(load, RATINGS + 'value = "one"')
    assert _settings(load(without + 'value = "one"'), "ratings").columns.value is None


def test_without_a_header_columns_are_positions(load: Load) -> None:
    positions = (
        RATINGS.replace('"u"', "1").replace('"i"', "2").replace('"v"', "3").replace('"t"', "4")
        + "header = false\n"
    )
    assert _settings(load(positions), "ratings").columns.timestamp == 4
    message = "without a header, columns are positions counted from 1, not names"
    assert message in _refused(load, positions.replace("= 4", '= "t"'))
    rule = '[[ratings.reject]]\ncolumn = "InvoiceNo"\npattern = "^C"\nreason = "cancelled"\n'
    assert message in _refused(load, positions + rule)
    assert (
        _settings(load(positions + rule.replace('"InvoiceNo"', "5")), "ratings").reject[0].column
        == 5
    )


def test_positions_are_counted_from_one(load: Load) -> None:
    assert "Input should be greater than 0, found 0" in _refused(
        load, RATINGS.replace('"u"', "0") + "header = false\n"
    )


def test_an_item_list_is_a_path_or_more_than_that(load: Load, tmp_path: Path) -> None:
    recommend = load(
        PIPELINE
        + 'candidates = "stock.csv"\nexclude = { path = "out.txt", header = false, item_id = 1 }'
    ).recommend
    assert (
        recommend is not None and recommend.candidates is not None and recommend.exclude is not None
    )
    assert (recommend.candidates.path, recommend.candidates.item_id) == (
        f"{tmp_path}/stock.csv",
        "item_id",
    )
    assert (recommend.exclude.path, recommend.exclude.item_id) == (f"{tmp_path}/out.txt", 1)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            'exclude = { path = "out.txt", header = false }',
            "recommend.exclude: without a header, columns are positions",
        ),
        ('candidates = { item_id = "sku" }', "recommend.candidates.path is missing"),
        (
            'candidates = { path = "a", item = "sku" }',
            "unknown key recommend.candidates.item (did you mean item_id?)",
        ),
        ('candidate = "stock.csv"', "unknown key recommend.candidate (did you mean candidates?)"),
    ],
)
def test_an_item_list_that_cannot_be_read_is_refused(load: Load, toml: str, message: str) -> None:
    assert message in _refused(load, PIPELINE + toml)


def test_a_pattern_that_is_no_regular_expression_is_refused(load: Load) -> None:
    rule = '[[ratings.reject]]\ncolumn = "n"\npattern = "(C"\nreason = "r"\n'
    assert "ratings.reject.0.pattern: not a regular expression (missing )" in _refused(
        load, RATINGS + rule
    )


def test_an_encoding_has_one_name(load: Load) -> None:
    assert _settings(load(RATINGS + 'encoding = "Latin-1"'), "ratings").encoding == "iso8859-1"
    assert (
        _refused(load, RATINGS + 'encoding = "klingon"')
        == "night.toml: ratings.encoding: unknown encoding; it is one that Python knows, such as"
        " utf-8, cp1252, cp932 or utf-16"
    )


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[recommend]\n", 'recommend.model = "als" needs a section [als]'),
        (
            '[als]\n[recommend]\nmodel = "item-neighbors"',
            'needs a section [cosine] whose sides hold "items"',
        ),
        (
            '[cosine]\nsides = ["items"]\n[recommend]\nmodel = "user-neighbors"',
            '[cosine] whose sides hold "users"',
        ),
        (
            RATINGS + 'value = "count"\n[cosine]\ncenter = "user"',
            "events have no mean to differ from: remove it",
        ),
        (
            "[evaluate]\n",
            (
                "[evaluate] measures recommendations or classes: it needs a section [recommend] or"
                " [predict]"
            ),
        ),
        (PIPELINE + "[evaluate]\n", "[evaluate] needs held-out ratings: set split.by"),
        (
            "[als]\n[recommend]\ntop_k = 5\n[evaluate]\nk = [1, 6]",
            "evaluate.k = 6 is more than recommend.top_k = 5",
        ),
    ],
)
def test_sections_that_do_not_fit_together_are_refused(load: Load, toml: str, message: str) -> None:
    assert message in _refused(load, toml)


@pytest.mark.parametrize(
    ("toml", "confidence", "weighting"),
    [(RATINGS, "exp", "bm25"), (RATINGS + 'value = "count"', "auto", "bm25"), ("", "auto", "bm25")],
)
def test_what_a_value_is_worth_to_lists_follows_from_what_it_is(
    load: Load, toml: str, confidence: str, weighting: str
) -> None:
    config = load(toml + "\n[als]\n[cosine]\n")
    assert _settings(config, "als").for_lists(config.has_ratings).confidence == confidence
    assert _settings(config, "cosine").weighted().weighting == weighting
    linear = _settings(load(toml + '\n[als]\nconfidence = "linear"'), "als")
    assert linear.for_lists(config.has_ratings).confidence == "linear"


@pytest.mark.parametrize(("value", "keep"), [("rating", "latest"), ("count", "sum")])
def test_counts_of_a_pair_are_added_and_of_ratings_the_latest_counts(
    load: Load, value: str, keep: str
) -> None:
    assert _settings(load(RATINGS + f'value = "{value}"'), "ratings").keep == keep
    assert _settings(load(RATINGS + f'value = "{value}"\nkeep = "max"'), "ratings").keep == "max"


@pytest.mark.parametrize(
    "asks", ["[recommend]\n", '[images]\npath = "p"\n[shards]\ntask = "factors"\n']
)
def test_explicit_feedback_makes_no_lists(load: Load, asks: str) -> None:
    message = _refused(load, RATINGS + '[als]\nfeedback = "explicit"\n' + asks)
    assert (
        'als.feedback = "explicit" predicts ratings, and its lists are worse than the most popular'
        " items" in message
    )
    assert 'set it to "auto" (lists, and predicted ratings)' in message


@pytest.mark.parametrize(
    "toml",
    [
        '[spark.conf]\n"spark.hadoop.fs.s3a.secret.key" = 5\n',
        '[spark.conf]\nspark.hadoop.fs.s3a.secret.key = "hush"\n',
        '[[spark.conf]]\nsecret = "hush"\n',
        'spark = [{ conf = { password = "hush" } }]\n',
        '[spark.conf]\n"fs.s3a.secret.key" = "hush"\n[als]\nrnak = 5\n',
        '[als]\npassword = "hush"\n',
        '[spark.conf]\n"fs.azure.sas.box.account.blob.core.windows.net" = ["?sv=1&sig=hush"]\n',
        '[spark.conf]\n"fs.unheard.of" = 1979-05-27\n"x" = { y = "hush" }\n',
    ],
)
def test_an_error_does_not_show_secrets(load: Load, toml: str) -> None:
    message = _refused(load, toml)
    assert message.startswith("night.toml: ")
    assert "hush" not in message
    assert "found 5" not in message and "1979" not in message


def test_an_override_that_fails_does_not_show_its_secret(load: Load) -> None:
    assert "hush" not in _refused(load, "", "als.secret_key=hush")
    assert "hush" not in _refused(load, "", "spark.conf.fs.secret.key")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(load: Load) -> None:
    assert _settings(load(b"\xef\xbb\xbf[als]\r\nrank = 5\r\n"), "als").rank == 5


@pytest.mark.parametrize(
    ("content", "byte"), [(b'root = "caf\xe9"', 11), ("[als]\n".encode("utf-16"), 0)]
)
def test_a_file_that_is_not_utf_8_is_told_with_the_place(
    load: Load, content: bytes, byte: int
) -> None:
    message = _refused(load, content)
    assert message.startswith("night.toml is not UTF-8 text (")
    assert message.endswith(f" at byte {byte})")


@pytest.mark.parametrize(
    "toml", ["[als\n", "rank: 5", "[als]\nrank = 5\nrank = 6\n", "[als]\n[als]\n"]
)
def test_a_file_that_is_not_toml_is_told_with_the_place(load: Load, toml: str) -> None:
    message = _refused(load, toml)
    assert message.startswith("night.toml is not valid TOML: ")
    assert "line " in message


@pytest.mark.parametrize(
    "name", ["gone.toml", ".", "night.toml/inside.toml", "no/such/folder.toml"]
)
def test_a_path_that_is_no_file_is_told(tmp_path: Path, load: Load, name: str) -> None:
    load("")
    with pytest.raises(ConfigError, match=r"is not a file; give a pipeline's path"):
        pipelines.load(tmp_path / name)


def test_what_decides_the_result_is_ready_for_json_and_leaves_out_where_it_runs(load: Load) -> None:
    toml = (
        RATINGS
        + 'reject = [{ column = "n", pattern = "^C", reason = "r" }]\n[als]\nblocks = 3\n[cosine]\n'
    )
    config = load(toml)
    assert _settings(config, "als").what() == {
        "feedback": "auto",
        "rank": 64,
        "iterations": 10,
        "reg_param": 0.2,
        "reg_exponent": 1.0,
        "alpha": 1.0,
        "confidence": "auto",
        "unobserved_weight": None,
        "ratings": {"rank": 32, "reg_param": 0.1, "reg_exponent": 1.0, "biases": True},
        "nonnegative": False,
        "solver": "cg",
        "cg_steps": 2,
        "subspace": 32,
        "patience": None,
        "seed": 1,
    }
    ratings = _settings(config, "ratings").what()
    assert "path" not in ratings
    assert ratings["reject"] == [{"column": "n", "pattern": "^C", "reason": "r"}]
    assert ratings["columns"]["user_id"] == "u"
    assert _settings(config, "cosine").what() == {
        "sides": ["items", "users"],
        "top_k": 50,
        "weighting": "auto",
        "center": "none",
        "shrinkage": 10.0,
        "min_support": 1,
        "max_ratings": None,
        "ratings": {"top_k": 40, "shrinkage": 50.0, "min_support": 1, "prior": 0.1, "damping": 5.0},
        "seed": 1,
    }
    assert {"root", "spark"}.isdisjoint(config.what())
    assert json.loads(json.dumps(config.what())) == config.what()
