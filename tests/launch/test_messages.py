"""What processes say to each other: each message is read as it was, and what is none is refused by
name.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import values

from emberline.errors import WorkerError
from emberline.launch.messages import KINDS, VERSION, Begin, Failed, Greeting, Hello, message_of


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if not issubclass(kind, Greeting)]
)
@given(data=st.data())
def test_a_message_is_read_as_it_was(kind: type, data: st.DataObject) -> None:
    said = data.draw(values(kind))
    assert message_of(said.to_line()) == said


@given(
    pid=st.integers(), host=st.text(), variables=st.dictionaries(st.text(), st.none() | st.text())
)
def test_a_greeting_is_read_as_it_was(
    pid: int, host: str, variables: dict[str, str | None]
) -> None:
    for said in (Hello(pid, host), Begin(variables)):
        assert message_of(said.to_line()) == said
        assert f'"version": {VERSION}' in said.to_line().decode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected a line of JSON, found ''"),
        ("{", "expected a line of JSON"),
        ("[" * 100_000, "expected a line of JSON"),
        ("3", "expected an object, found 3"),
        ("{}", "kind: None is not known"),
        ('{"kind": ["Beat"]}', "kind: \\['Beat'\\] is not known"),
        ('{"kind": "Shout", "text": "!"}', "kind: 'Shout' is not known"),
        ('{"kind": "Beat", "phase": "step"}', "Beat.step is missing"),
        ('{"kind": "Beat", "phase": "step", "step": true}', "Beat.step: expected a whole number"),
        ('{"kind": "Beat", "phase": 1, "step": 1}', "Beat.phase: expected a text, found 1"),
        ('{"kind": "Stop", "now": true}', "Stop.now is not known"),
        ('{"kind": "Done", "answer": []}', "Done.answer: expected an object"),
        ('{"kind": "Hello", "pid": 1, "host": "h", "version": 2}', "Hello.version: expected 1"),
        ('{"kind": "Begin", "environment": {"A": 1}, "version": 1}', "Begin.environment.A"),
        ('{"kind": "Lost", "why": "' + "x" * 99 + '", "who": 1}', "Lost.who is not known"),
    ],
)
def test_what_is_no_message_is_refused_by_name(line: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message) as refused:
        message_of(line)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_an_error_of_no_known_class_is_refused() -> None:
    with pytest.raises(WorkerError, match=r"Failed\.error: 'SystemExit' is not known"):
        Failed("SystemExit", "0").to_error()


def test_a_greeting_of_another_version_is_refused() -> None:
    with pytest.raises(WorkerError, match=r"Hello\.version: expected 1, found 3"):
        Hello(1, "h", version=3)
