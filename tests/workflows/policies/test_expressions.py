"""CEL: what can be written, what is refused with which words, and that nothing runs long."""

import datetime as dt
import json
import time
from typing import Any

import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from workflows.policies import Request
from workflows.policies.expressions import (
    PERSON,
    EvaluationError,
    ExpressionError,
    Gives,
    compile_expression,
    cost,
    tree,
)
from workflows.policies.expressions.sizes import Given, weigh

NOON = dt.datetime(2026, 7, 3, 10, 30, tzinfo=dt.UTC)
DATA = {
    "amount": 120, "total": 12.5, "to": "bob@example.com", "nothing": None, "paid": True,
    "items": [{"sku": "A1", "price": 9}, {"sku": "B1", "price": 3.5}], "tags": {"a": 1},
}  # fmt: skip


def request(**changes: Any) -> Request:
    base: dict[str, Any] = {
        "action_type": "payments.refund",
        "data": DATA,
        "risk": "high",
        "agent": {"id": "a1", "name": "bot"},
        "team": {"slug": "ops"},
        "metadata": {"tier": 2},
        "created_at": NOON,
        "zone": "Europe/Berlin",
        "owner_id": "ann",
    }
    return Request(**(base | changes))


def evaluate(text: str, data: Any = DATA) -> Any:
    return compile_expression(text).evaluate(request(data=data).variables())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.amount > 100", True),
        ("data.amount > 100.5", True),
        ("data.amount == 120", True),
        ("data.amount == 120.0", True),
        ("data.amount in [1, 120]", True),
        ("data.amount * 2.0 > 200.0", True),
        ("data.total > 12", True),
        ('action_type.startsWith("payments.") && risk in ["high", "medium"]', True),
        ('agent.name == "bot" && agent.owner == "ann" && team.slug == "ops"', True),
        ("metadata.tier >= 2", True),
        ("has(data.missing) && data.missing > 1", False),
        ("data.nothing == null", True),
        ("data.items.all(i, i.price < 10)", True),
        ('data.items.exists(i, i.sku == "B1" && i.price > 3)', True),
        ("data.items.filter(i, i.price > 5).size() == 1", True),
        ('data.to.matches("^[a-z]+@example[.]com$")', True),
        ('time.weekday == "friday" && time.hour == 12 && time.minute == 30', True),
        ('time.date == "2026-07-03" && time.zone == "Europe/Berlin"', True),
        ('timestamp(time.now).getHours("UTC") == 10', True),
        ("data.amount >\n 100", True),
    ],
)
def test_evaluates(text: str, expected: bool) -> None:
    assert evaluate(text) is expected


@pytest.mark.parametrize("amount", [120, 120.0, 120.5, 0, -3, 2**53])
def test_whole_and_other_numbers_are_alike(amount: float) -> None:
    assert evaluate("data.amount > 10000.5", {"amount": amount}) is (amount > 10000.5)
    assert evaluate("data.amount + 1.0 > data.amount || data.amount > 1e15", {"amount": amount})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Write a condition"),
        ("data.amount", None),
        ("data.amount >", "At character 14: Something is missing at the end."),
        ("data.amount = 3", "At character 13: Write == to compare."),
        ("data.amount => 3", "Write >= to compare"),
        ("data.a and data.b", "At character 8: Write && for and."),
        ("data.amount > 10,000", "without commas"),
        ("dat.amount > 3", "'dat.amount' is not known here. Did you mean data?"),
        ("foo(data)", "There is no function 'foo'."),
        ("data.items.exists(i)", "exists takes a name and a condition"),
        ("risk > 3", "'>' cannot be used on text and a whole number."),
        ('agent.nmae == "x"', "'nmae' is not known here. Did you mean name?"),
        ("size(risk)", "has to give true or false"),
        ("risk", "has to give true or false"),
        ("data.a.matches(data.b)", "Write the pattern out"),
        ('data.a.matches("(")', "RE2 cannot run this pattern"),
        (r'data.a.matches("[\\pL]{1,9}")', "too complex"),
        ("(data.a", "Missing ')' at the end"),
        ('data.a == "\u202e"', "cannot be seen"),
        ('data.a == "\ud800"', "cannot be seen"),
        ("x" * 1001, "longer than 1000"),
        ("99999999999999999999 > 1", "Invalid int literal"),
    ],
)
def test_refuses_with_a_remedy(text: str, said: str | None) -> None:
    if said is None:
        compile_expression(text)
        return
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data.missing > 3", "There is no 'missing'. Ask first with has(…)."),
        ("data.to > 3", "'>' cannot be used on text and a whole number."),
        ("data.amount * 2 > 3", "write 2.0, not 2, beside '*'"),
        ("data.amount", "does not give true or false"),
        ("data.to.foo == 1", "A field is asked of something that has no fields."),
        ("1 / 0 == 1", "Divide by zero."),
        ("data.items.all(i, i.nope > 1)", "There is no 'nope'"),
        ('timestamp(data.to) > timestamp("2020-01-01T00:00:00Z")', "conversion failed"),
    ],
)
def test_failure_is_said_in_words(text: str, said: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(text)
    assert said in str(caught.value)


def test_number_where_a_number_is_wanted() -> None:
    total = compile_expression("data.amount", gives=Gives.NUMBER)
    assert total.evaluate(request().variables()) == 120.0
    with pytest.raises(EvaluationError, match="does not give a number"):
        total.evaluate(request(data={"amount": True}).variables())
    with pytest.raises(ExpressionError, match="has to give a number"):
        compile_expression("risk", gives=Gives.NUMBER)


def test_person_has_a_vocabulary_of_its_own() -> None:
    text = '"finance" in person.groups && request.data.amount > 100'
    values = {"person": {"groups": ["finance"]}, "request": request().variables()}
    assert compile_expression(text, PERSON).evaluate(values) is True
    with pytest.raises(ExpressionError, match="Did you mean groups"):
        compile_expression("person.group == 1", PERSON)
    with pytest.raises(ExpressionError, match="not known here"):
        compile_expression("person.id != ''")


def test_says_what_it_reads() -> None:
    found = compile_expression("data.items.all(i, i.price > data.least) && risk == 'high'")
    assert found.reads == (("data", "items"), ("data", "least"), ("risk",))


DOUBLING = '["aaaaaaaaaaaaaaaa"]' + ".map(x, x + x)" * 26 + '[0] != ""'
SHARED = "[[1]]" + ".map(x, [x, x])" * 20 + " == " + "[[1]]" + ".map(x, [x, x])" * 20


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "true" + ")" * 400,
        "[" * 400 + "1" + "]" * 400 + " == []",
        "data" + ".a" * 400 + " == 1",
        "+".join(["1"] * 400) + " == 1",
        "true ? " * 100 + "true" + " : true" * 100,
        DOUBLING,
        SHARED,
        "data.a.all(b, data.a.all(c, data.a.all(d, data.a.all(e, b == c || d == e))))",
        "data.a.map(b, data.a.map(c, data.a.map(d, d))).size() > 0",
    ],
)
def test_hostile_expressions_cannot_be_saved(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ExpressionError):
        compile_expression(text)
    assert time.perf_counter() - start < 1


LONG = "a" * 200_000
NUMBERS = list(range(20_000))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data.l.all(i, (data.s + data.s).size() > 0)", {"s": LONG, "l": NUMBERS}),
        ("data.l.all(i, data.s.contains(data.t))", {"s": LONG, "t": LONG[1:] + "b", "l": [1]}),
        ("data.l.all(i, data.l.all(j, i + j > -1.0))", {"l": NUMBERS}),
        ("data.l.all(i, data.l != data.m)", {"l": NUMBERS, "m": [*NUMBERS[:-1], "x"]}),
        ('data.l.exists(i, i in data.m && i == "x")', {"l": NUMBERS, "m": NUMBERS}),
        ("data.l.map(i, [i, i, i]).size() > 3", {"l": NUMBERS}),
        ("data.l.filter(i, i > 1).size() > 3", {"l": NUMBERS}),
        (
            'data.l.all(i, i.matches("^[a-z]{1,100}[0-9]{0,99}$") || true)',
            {"l": ["x" * 10] * 9000},
        ),
        (
            'data.l.all(i, timestamp(time.now).getHours("Europe/Berlin") > -1)',
            {"l": NUMBERS},
        ),
        ('data.l.all(i, (data["s"] + "x").size() > 0)', {"s": LONG, "l": NUMBERS}),
        ("data.l.all(i, i.all(j, j.all(k, k > 0)))", {"l": [[[1] * 60] * 60] * 60}),
        ("data.a.all(b, data.a.all(c, data.a.all(d, b == c || c == d)))", {"a": NUMBERS}),
    ],
)
def test_hostile_data_ends_soon(text: str, data: Any) -> None:
    found = compile_expression(text)
    values = request(data=data).variables()
    start = time.perf_counter()
    with pytest.raises(EvaluationError, match=r"too large|too many"):
        found.evaluate(values)
    assert time.perf_counter() - start < 1.5


def test_large_data_that_is_hardly_touched_is_fine() -> None:
    data = {"amount": 5, "note": LONG, "items": [{"price": n} for n in range(5_000)]}
    assert evaluate("data.amount < 10 && data.note.size() > 5", data) is True
    assert evaluate("data.items.all(i, i.price >= 0)", data) is True


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (
            'data.l.all(i, i.a.b >= 0 && i.a.b < 100000 && i.a.c != "")',
            {"l": [{"a": {"b": n, "c": "x" * 20}} for n in range(9_000)]},
        ),
        ("data.l.all(i, i.all(j, j.all(k, k > 0)))", {"l": [[[1] * 20] * 20] * 20}),
        ('data.l.all(i, data.l[5] == 1 && data["l"][6] == 1)', {"l": [1] * 9_000}),
        ("data.l.all(i, (data.s + data.s).size() > 0)", {"s": LONG, "l": [1] * 10}),
        (r'data.l.all(i, i.matches("^(?i)[\\pL]$") || true)', {"l": ["x"] * 100}),
        ('data.l.all(i, "x" in data.l || true)', {"l": [1] * 1_500}),
    ],
)
def test_estimate_is_above_what_the_runtime_does(text: str, data: Any) -> None:
    """A unit is about 10 ns; the slowest measured, a pattern of letters, took 17."""
    found = compile_expression(text)
    values = request(data=data).variables()
    units = cost.estimate(found.root, {name: Given(value) for name, value in values.items()})
    assert units < cost.BUDGET
    start = time.perf_counter()
    assert found.evaluate(values) is True
    assert time.perf_counter() - start < units * 100e-9 + 0.3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
    max_leaves=20,
)
POOL = [
    compile_expression(text)
    for text in (
        "data.a > 1 || data.b.c == 2",
        "data.all(i, i == i)",
        'has(data.x) ? data.x.startsWith("a") : data.y',
        "data.map(i, [i]).size() > 3 && data[0] != data[1]",
        'string(data) == "x" || data == metadata',
    )
]


@given(json_values, st.sampled_from(POOL))
def test_any_data_gives_an_answer_or_a_reason(data: Any, found: Any) -> None:
    try:
        said = str(found.evaluate(request(data=data).variables()))
    except EvaluationError as error:
        said = str(error)
    assert said in ("True", "False") or said.endswith(".")


@given(st.text(max_size=60))
def test_any_text_compiles_or_says_why(text: str) -> None:
    try:
        said = compile_expression(text).text
    except ExpressionError as error:
        said = str(error)
    assert said == text or said.endswith((".", "?"))


@given(st.binary(max_size=80))
def test_tree_reads_no_rubbish(raw: bytes) -> None:
    try:
        said = type(tree.read(raw)).__module__
    except ValueError as error:
        said = str(error)
    assert said in (tree.__name__, "this is no serialised CEL expression")


def test_tree_is_that_of_the_expression() -> None:
    env = cel.NewEnv(variables={"data": cel.Type.DYN})
    text = 'data.a[0] == "x" && has(data.b) && data.l.all(i, i > 2.5) && {"k": [1]}.k != []'
    root = tree.read(env.compile(text).serialize())
    kinds = [type(node).__name__ for node in tree.walk(root)]
    assert {"Call", "Select", "Name", "Const", "Loop", "Build"} == set(kinds)
    constants = [node.value for node in tree.walk(root) if isinstance(node, tree.Const)]
    assert {"x", 2.5, "k"} <= {value for value in constants if value is not None}


@given(json_values)
def test_weight_is_no_less_than_the_texts(value: Any) -> None:
    texts = json.dumps(value, ensure_ascii=False).count("a")
    assert weigh(value) >= texts


def test_unit_of_work_is_counted_for_each_iteration() -> None:
    short = compile_expression("data.l.all(i, i > 0)")
    few, many = ({"data": Given({"l": [1] * n})} for n in (10, 1000))
    assert 50 < cost.estimate(short.root, many) / cost.estimate(short.root, few) < 150
