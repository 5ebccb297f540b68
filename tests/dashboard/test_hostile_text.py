"""Whatever an agent writes, wherever it is shown, stays text: nothing runs, nothing is hidden."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from hitl.accounts.models import Agent, User
from tests.dashboard.browser import drawn, logged_in, page_of, text
from tests.workflows.factories import decide, make_executing, make_workflow
from workflows import executions
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

PAYLOADS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>",
    "' onfocus=alert(1) autofocus x='", "javascript:alert(1)", "<a href=javascript:alert(1)>x</a>",
    "</title><script>alert(1)</script>", "</textarea><script>alert(1)</script>",
    "</select><script>alert(1)</script>", "<!--<script>alert(1)</script>-->", "]]><script>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>", "<math><mi xlink:href='data:x'>",
    "<form action=https://evil.example><button>Approve</button></form>",
    "<base href=https://evil.example/>", "<meta http-equiv=refresh content='0;url=//evil'>",
    "<style>*{display:none}</style>", "<link rel=stylesheet href=//evil.example/x.css>",
    "{{ 7*7 }}", "{% load x %}", "{% now 'Y' %}", "{0.__class__}", "%s%n", "${7*7}", "#{7*7}",
    "<%= 7*7 %>", "`alert(1)`", "\\\"><script>", "&lt;script&gt;", "&#60;script&#62;",
    "<b onmouseover=alert(1)>bold</b>", "<details open ontoggle=alert(1)>", "<x contenteditable>",
    "<input type=hidden name=fingerprint value=evil>", "<plaintext>",
    "<noscript><p title=\"</noscript>",
    "<relative-time datetime=1>", "data:text/html,<script>alert(1)</script>", "<object data=x>",
    "<embed src=x>", "<video><source onerror=alert(1)>", "<body onload=alert(1)>",
]  # fmt: skip
ALLOWED_SCRIPTS = re.compile(r"^/static/")


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def assert_harmless(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag not in (
            "style",
            "iframe",
            "object",
            "embed",
            "base",
            "video",
            "math",
            "plaintext",
        )
        assert attributes.get("http-equiv") is None
        if tag == "script":
            assert ALLOWED_SCRIPTS.match(attributes.get("src") or ""), attributes
        for name in ("href", "src", "action", "formaction"):
            value = attributes.get(name)
            assert value is None or value == "" or value[0] in "/?#.", (tag, name, value)


def make_hostile(agent: Agent, payload: str) -> Workflow:
    form = {
        "title": payload,
        "description": payload,
        "type": "object",
        "properties": {
            payload: {"type": "string", "title": payload, "description": payload},
            "choice": {"enum": [payload, "b"], "title": payload, "x-labels": [payload, payload]},
            "long": {"type": "string", "x-widget": "textarea"},
            "fixed": {"type": "string", "readOnly": True},
        },
    }
    data = {payload: payload, "choice": payload, "long": payload + "\n" + payload, "fixed": payload}
    return make_workflow(
        agent,
        name=payload,
        reason=payload,
        action_type=payload[:100],
        action_data={**data, "extra": {payload: [payload, {payload: payload}]}},
        ui_schema=form,
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_an_agent_writes_becomes_markup(approver: User, agent: Agent, payload: str) -> None:
    agent.name = payload[:80]
    agent.save()
    workflow = make_hostile(agent, payload)
    client = logged_in(approver)
    edits = drawn(workflow, long="x " + payload) | {
        "decision": "modified", "fingerprint": workflow.fingerprint, "comment": payload
    }  # fmt: skip
    pages = [
        client.get("/"),
        client.get("/history/"),
        client.get(page_of(workflow)),
        client.get(page_of(workflow) + "?edit=1"),
        client.get(page_of(workflow, "event", seq=1)),
        client.post(page_of(workflow, "decide"), edits),
        client.post(page_of(workflow, "preview"), edits),
    ]
    decide(workflow, approver, "rejected", comment=payload)
    pages.append(client.get(page_of(workflow)))
    for page in pages:
        assert page.status_code == 200
        assert_harmless(text(page))


@pytest.mark.parametrize("payload", PAYLOADS[:6])
def test_nothing_an_agent_reports_becomes_markup(
    approver: User, agent: Agent, payload: str
) -> None:
    workflow = make_executing(agent, approver)
    error = {"code": payload, "message": payload}
    executions.fail(workflow.pk, agent=agent, attempt=1, error=error)
    assert_harmless(text(logged_in(approver).get(page_of(workflow))))


def test_template_syntax_is_literal(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, name="{{ 7*7 }} {% now 'Y' %}")
    page = text(logged_in(approver).get(page_of(workflow)))
    assert "{{ 7*7 }} {% now &#x27;Y&#x27; %}" in page


DECEPTIVE = {
    "override": ("invoice\u202egnp.exe", "U+202E"),
    "zero width": ("pay\u200bpal", "U+200B"),
    "tag": ("ok\U000e0041", "U+E0041"),
    "filler": ("a\u3164b", "U+3164"),
}


@pytest.mark.parametrize(("value", "shown"), DECEPTIVE.values(), ids=DECEPTIVE)
@pytest.mark.parametrize("where", ["name", "reason", "action_data"])
def test_hidden_characters_are_written_out_with_a_warning(
    approver: User, agent: Agent, where: str, value: str, shown: str
) -> None:
    changes: dict[str, Any] = {where: {"to": value} if where == "action_data" else value}
    workflow = make_workflow(agent, ui_schema=None, **changes)
    client = logged_in(approver)
    page = text(client.get(page_of(workflow)))
    assert shown in page
    assert "Misleading characters" in page
    assert value not in page
    if where != "reason":
        inbox = text(client.get("/"))
        assert shown in inbox
        assert "Misleading characters" in inbox
        assert value not in inbox


def test_look_alike_letters_are_warned_about(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, ui_schema=None, action_data={"to": "p\u0430ypal.example"})
    client = logged_in(approver)
    assert "Misleading characters" in text(client.get(page_of(workflow)))
    assert "Misleading characters" in text(client.get("/"))


def test_ordinary_text_is_not_suspected(approver: User, agent: Agent) -> None:
    data = {"name": "Zoë Müller", "city": "Αθήνα", "note": "Спасибо 👩‍👩‍👧 ½ “quoted” …"}
    workflow = make_workflow(agent, ui_schema=None, action_data=data)
    client = logged_in(approver)
    assert "Misleading" not in text(client.get(page_of(workflow)))
    assert "Misleading" not in text(client.get("/"))


def test_a_label_that_says_something_else_stands_beside_the_datas_own_name(
    approver: User, agent: Agent
) -> None:
    form = {"fields": [{"name": "recipient", "type": "string", "label": "Amount"}]}
    workflow = make_workflow(agent, action_data={"recipient": "x"}, ui_schema=form)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert '<code class="key">recipient</code>' in page


def test_endless_words_are_kept_in_their_box(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent, reason="Approved!\n" * 5000)
    page = text(logged_in(approver).get(page_of(workflow)))
    assert 'class="words-text"' in page
    assert page.index("If you approve") < page.index('class="words-text"')
