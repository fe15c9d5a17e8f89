"""The DAG file: Python in plain ASCII that holds the commands as they were meant, and what
Airflow itself makes of it.
"""

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.schedule import airflow
from emberline.schedule.job import Job

MakeJob = Callable[..., Job]


def _source(job: Job) -> str:
    (content,) = airflow.files(job).values()
    return content


def _constants(source: str) -> dict[str, Any]:
    """The values that the file names at its top level, where they are literals."""
    values = {}
    for node in ast.parse(source).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and not isinstance(node.value, ast.Call)
        ):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def _assert_holds(source: str, job: Job) -> None:
    assert source.isascii()
    compile(source, "dag.py", "exec")
    constants = _constants(source)
    assert constants["FOLDER"] == str(job.folder)
    assert constants["STAGES"] == [
        (step.stage, list(step.command), list(step.after)) for step in job.steps
    ]


def test_any_name_survives_python(make_job: MakeJob, nasty: str) -> None:
    job = make_job(
        name=nasty, folder=nasty, root=f"in {nasty}", overrides=(f"report.title=x{nasty}",)
    )
    _assert_holds(_source(job), job)
    assert list(airflow.files(job)) == [f"emberline_{job.name}.py"]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30))
def test_any_text_survives_python(make_job: MakeJob, text: str) -> None:
    job = make_job(overrides=(f"report.title=x{text}",))
    _assert_holds(_source(job), job)


def test_only_1_and_75_are_retried(make_job: MakeJob) -> None:
    assert _constants(_source(make_job()))["RETRIED"] == (1, 75)


def test_the_day_is_passed_on_only_where_the_pipeline_has_a_use_for_it(make_job: MakeJob) -> None:
    job = make_job()
    assert "--date" not in _source(job)
    dated = _source(replace(job, is_dated=True))
    _assert_holds(dated, job)
    assert '[*self.command, "--date", self.date]' in dated
