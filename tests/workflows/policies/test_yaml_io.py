"""Policies and rules as files: strict, friendly, and back again."""

import datetime as dt
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.lib.errors import InvalidInput
from tests.workflows.policies.test_format import FULL
from tests.workflows.policies.test_properties import policies as random_policies
from tests.workflows.policies.test_rules import APPROVE, ASK, DENY
from workflows.policies import rules, yaml_io
from workflows.policies.format import normalise
from workflows.policies.yaml_io import short_forms

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
HEAD = "name: x\nstages:\n  - name: F\n"


def loads(text: str, **more: Any) -> yaml_io.Document:
    return yaml_io.loads(text, now=NOW, **more)


def documented() -> str:
    """The example in the module's own words."""
    lines = (yaml_io.__doc__ or "").split("\n")
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def test_documented_example_is_read() -> None:
    found = loads(documented())
    assert found.policies == [normalise({
        "name": "Refunds",
        "timeoutSeconds": 86400,
        "stages": [
            {
                "name": "Finance",
                "need": {"who": {"group": "finance"}, "count": 2},
                "reminders": [3600, {"before": 900}],
                "escalation": [{"after": 14400, "to": {"users": ["deputy@example.com"]}}],
            },
            {
                "name": "CFO", "when": "data.amount > 10000", "timeoutAction": "reject",
                "need": {"who": {"users": ["cfo@example.com"]}},
            },
        ],
    })]  # fmt: skip
    assert [rule["name"] for rule in found.rules] == ["Small refunds"]


def test_file_says_two_of_finance_then_the_cfo() -> None:
    text = yaml_io.dumps(loads(documented()).policies)
    assert text == (
        "policies:\n"
        "  - name: Refunds\n"
        "    timeout: 1d\n"
        "    stages:\n"
        "      - name: Finance\n"
        "        need: 2 of group finance\n"
        "        remind:\n"
        "          - 1h\n"
        "          - 15m before deadline\n"
        "        escalate:\n"
        "          - after: 4h\n"
        "            to: person deputy@example.com\n"
        "            count: 1\n"
        "      - name: CFO\n"
        "        need: person cfo@example.com\n"
        "        when: data.amount > 10000\n"
        "        on_timeout: reject\n"
    )


def test_full_policy_and_rules_come_back_the_same() -> None:
    policies = [normalise(FULL)]
    ruled = rules.normalise([APPROVE, ASK, DENY | {"enabled": False}], now=NOW)
    found = loads(yaml_io.dumps(policies, ruled))
    assert (found.policies, found.rules) == (policies, ruled)


names = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters=" :#-'\",&*!?|>%@`"),
    min_size=1,
    max_size=12,
).filter(lambda text: bool(text.strip()) and text.isprintable())


@settings(max_examples=150)
@given(random_policies(), names, names, st.lists(names, min_size=1, max_size=3, unique=True))
def test_any_policy_comes_back_the_same(
    rules_: dict[str, Any], name: str, group: str, users: list[str]
) -> None:
    rules_["name"] = name
    for stage in rules_["stages"]:
        stage |= {"minPeople": 1, "name": name}
        stage["need"] = {"anyOf": [
            stage["need"],
            {"who": {"group": group}, "count": 3},
            {"who": {"users": users, "label": name}, "count": "all"},
            {"who": {"users": users}, "count": 1},
            {"who": {"roles": users}, "count": 2},
        ]}  # fmt: skip
    normal = normalise(rules_)
    assert loads(yaml_io.dumps([normal])).policies == [normal]


def test_people_have_names_in_files_and_ids_in_policies() -> None:
    ids = {"ann@example.com": "id-ann"}
    text = (
        f"{HEAD}    need: person ann@example.com\n"
        "    escalate:\n"
        "      - {after: 1h, to: {users: [ann@example.com]}}\n"
    )
    (found,) = loads(text, person=ids.get).policies
    assert found["stages"][0]["need"]["who"] == {"users": ["id-ann"]}
    back = {id_: name for name, id_ in ids.items()}
    again = yaml_io.dumps([found], person=lambda id_: back[id_])
    assert "need: person ann@example.com" in again
    with pytest.raises(InvalidInput, match=r"Line 4: Nobody in the team is called 'bob@x'"):
        loads(f"{HEAD}    need: people bob@x, ann@example.com\n", person=ids.get)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Line 1: The file is empty."),
        ("just words", "Line 1: Write policies, rules, or one policy"),
        ("policies: 3", "Line 1: Write a list of policies"),
        ("policies:\n  - 3", "Line 2: Write it with the keys"),
        ("a: [", "Line 1: Expected"),
        ("a: b: c", "Line 1: Mapping values are not allowed here."),
        ("\tname: x", "Line 1: Found character"),
        ("\x00", "characters that YAML does not allow"),
        ("name: x\nname: y\nstages: []", "Line 2: 'name' is there twice; first on line 1."),
        ("? [a]\n: b", "Line 1: A key has to be a text."),
        ("policies: &a\n  - *a", "Line 1: Anchors and aliases"),
        ("policies: !!python/object:os.system x", "Line 1: Tags (!) are not read."),
        ("x: 1\n---\ny: 2", "Only one document is read"),
        ("[" * 100, "nested deeper than 20 levels"),
        ("- " * 100 + "a", "nested deeper than 20 levels"),
        ("x" * 128_001, "larger than 128000 characters"),
        (f"{HEAD}    ned: approvers", "Line 4: 'ned' is not known here. Did you mean need?"),
        (f"{HEAD}    need: 2 of finance", "Line 4: Write approvers, agent owner, group X"),
        (f"{HEAD}    need: several of group x", "Line 4: 'several' is no number."),
        (f"{HEAD}    need: 3 of people a, b", "Line 4: Only 2 can answer here"),
        (f"{HEAD}    need:\n      - approvers", "Write an object"),
        (f"{HEAD}    need: approvers\n    when: data.x = 1", "Line 5: At character 8: Write =="),
        (f"{HEAD}    need: approvers\n    remind: [1 fortnight]", "Line 5: Write a duration"),
        (f"{HEAD}    need: approvers\n    remind: 1h", "Write a list."),
        (f"{HEAD}    need: approvers\n    allow_edit: yes", "Line 5: Write true or false."),
        (f"{HEAD}    need: approvers\n    escalate:\n      - after: 1h", "Line 6: to is missing."),
        ("rules:\n  - {name: a, when: 'true', then: approve}", "Line 2: What approves"),
        ("rules:\n  - name: a\n    wen: 'true'", "Line 3: 'wen' is not known here."),
    ],
)
def test_faults_name_their_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        loads(text)
    messages = [error.message for error in caught.value.errors]
    assert any(said in message for message in messages), messages
    assert all(message.startswith("Line ") for message in messages)


def test_words_of_older_yaml_are_texts() -> None:
    text = "name: on\nstages: [{name: no, need: approvers}]\ncalendar: {quiet: [[22:00, 07:00]]}"
    (found,) = loads(text).policies
    assert (found["name"], found["stages"][0]["name"]) == ("on", "no")
    assert found["calendar"]["quiet"] == [["22:00", "07:00"]]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("1h 30m", 5400), ("1h30m", 5400), ("2 days", 172_800), ("1w", 604_800),
        ("5 min", 300),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: int) -> None:
    assert short_forms.duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "h", "1", "1x", "1h foo", "-1h", "1.5h", "1hh"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="Write a duration"):
        short_forms.duration(text)


@given(st.integers(1, 10**8))
def test_duration_comes_back_the_same(seconds: int) -> None:
    assert short_forms.duration(short_forms.from_seconds(seconds)) == seconds


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Line "):
        loads(text)


def test_largest_file_is_read_in_time() -> None:
    text = "a: b\n" * 25_000
    start = time.perf_counter()
    with pytest.raises(InvalidInput, match="twice"):
        loads(text)
    assert time.perf_counter() - start < 20
