"""Policies while they are typed: rows and expressions, hostile posts, there and back."""

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given, reject, settings

from dashboard.drafts import posts
from dashboard.drafts.buttons import press
from dashboard.drafts.conditions import Condition, from_cel, to_cel
from dashboard.drafts.policy import PolicyDraft, is_shown_whole
from dashboard.drafts.rules import RulesDraft
from hitl.lib.errors import InvalidInput
from tests.workflows.policies.test_format import FULL
from tests.workflows.policies.test_properties import policies as random_policies
from tests.workflows.policies.test_rules import APPROVE, ASK, DENY
from workflows.policies import expressions
from workflows.policies.format import normalise

ROWS = [
    ("amount", ">", "10,000", "data.amount > 10000"),
    ("amount", ">=", "10 000.50", "data.amount >= 10000.50"),
    ("amount", "<", "-3", "data.amount < -3"),
    ("customer.country", "==", "DE", 'data.customer.country == "DE"'),
    ("order-id", "!=", "A", 'data["order-id"] != "A"'),
    ("risk", "in", "medium, high", 'risk in ["medium", "high"]'),
    ("action_type", "startsWith", "payments.", 'action_type.startsWith("payments.")'),
    ("paid", "==", "true", "data.paid == true"),
    ("number", "==", '"007"', 'data.number == "007"'),
    ("note", "contains", 'say "hi"', 'data.note.contains("say \\"hi\\"")'),
    ("agent.name", "==", "Ünal", 'agent.name == "Ünal"'),
]


class TestConditions:
    @pytest.mark.parametrize(("field", "comparison", "value", "cel"), ROWS)
    def test_row_is_an_expression_and_back(
        self, field: str, comparison: str, value: str, cel: str
    ) -> None:
        assert to_cel(field, comparison, value) == cel
        expressions.compile_expression(cel)
        row = from_cel(cel)
        assert row is not None
        assert to_cel(*row) == cel
        assert row[:2] == (field, comparison)

    @pytest.mark.parametrize(
        "cel",
        [
            "data.amount > 10000 && risk == 'high'",
            "size(data.items) > 3",
            "data.amount > 10000 ",
            "has(data.amount)",
            "data.amount > data.limit",
            'data.x == "a" || true',
            "true",
        ],
    )
    def test_other_expressions_stay_expressions(self, cel: str) -> None:
        condition = Condition.of(cel)
        assert (condition.kind, condition.cel) == ("cel", cel)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (("", ">", "1"), "Choose what to compare"),
            (("amount", ">", " "), "Write what to compare with"),
            (("amount", "=>", "1"), "Choose how to compare"),
            (("a..b", ">", "1"), "Write the field's name"),
        ],
    )
    def test_what_is_missing_is_said(self, row: tuple[str, str, str], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            to_cel(*row)

    def test_value_cannot_break_out_of_its_quotes(self) -> None:
        cel = to_cel("name", "==", 'x" || true || "')
        read = expressions.compile_expression(cel)
        assert read.evaluate({"data": {"name": "y"}}) is False


def fits_the_form(need: dict[str, Any], depth: int) -> bool:
    """Whether a need is one place, or branches of places with one level within."""
    if "who" in need:
        who = need["who"]
        one = len(who.get("users", ())) == 1 and need["count"] != 1
        return not one and len(who.get("roles", "r")) == 1 and "label" not in who
    parts = next(iter(need.values()))
    return depth > 0 and len(parts) > 1 and all(fits_the_form(part, depth - 1) for part in parts)


class TestThereAndBack:
    @settings(max_examples=200)
    @given(random_policies())
    def test_what_is_shown_whole_is_written_the_same(self, policy: dict[str, Any]) -> None:
        try:
            stored = normalise(policy)
        except InvalidInput:
            reject()  # the engine's tests also speak of what nobody could save
        PolicyDraft.of(stored).write()
        if all(fits_the_form(stage["need"], 2) for stage in stored["stages"]):
            assert is_shown_whole(stored)

    def test_the_form_shows_a_rich_policy(self) -> None:
        rich = normalise(
            {
                "name": "Rich",
                "timeoutSeconds": 5400,
                "calendar": {
                    "zone": "Europe/Berlin",
                    "quiet": [["22:00", "07:00"]],
                    "work": {"monday": [["09:00", "17:00"]], "friday": [["09:00", "17:00"]]},
                    "holidays": ["2026-12-25"],
                },
                "differentPeople": True,
                "stages": [
                    {
                        "name": "One",
                        "need": {
                            "allOf": [
                                {"who": {"group": "finance"}, "count": 2},
                                {
                                    "anyOf": [
                                        {"who": {"roles": ["manager"]}},
                                        {"who": {"users": ["a", "b"]}, "count": "all"},
                                    ]
                                },
                            ]
                        },
                        "onReject": "impossible",
                        "minPeople": 2,
                        "allowEdit": False,
                        "channels": ["slack"],
                        "reminders": [{"after": 60}, {"before": 900}],
                        "stepUp": ["high"],
                        "extendMax": 3600,
                        "escalation": [
                            {
                                "after": 600,
                                "to": {
                                    "expression": '"x" in person.groups',
                                    "label": "whoever is on call",
                                },
                                "mode": "replace",
                                "repeat": 2,
                                "every": 300,
                            }
                        ],
                        "timeoutAction": "escalate",
                    },
                    {
                        "name": "Two",
                        "need": {"who": {"users": ["a"]}},
                        "when": 'risk == "high"',
                        "timeoutAction": "reject",
                    },
                ],
            }
        )
        assert is_shown_whole(rich)

    def test_what_says_more_is_left_to_yaml(self) -> None:
        leaf = {"who": {"team": "approvers"}}
        deep = {"allOf": [leaf, {"anyOf": [leaf, {"allOf": [leaf, leaf]}]}]}
        for need in (deep, {"who": {"group": "g", "label": "them"}}):
            document = normalise({"name": "P", "stages": [{"name": "S", "need": need}]})
            assert not is_shown_whole(document)
        assert not is_shown_whole(normalise(FULL))

    def test_rules_are_written_the_same(self) -> None:
        for rule in (APPROVE, ASK, DENY):
            written, faults = RulesDraft.of([rule]).write()
            assert faults.faults == []
            assert written[0] | rule == written[0]


def posted(text: str) -> dict[str, Any]:
    return posts.nest(QueryDict(text))


class TestPosts:
    def test_names_are_nested(self) -> None:
        found = posted(
            "name=P&stages.0.name=A&stages.1.name=B&stages.1.channels=x&stages.1.channels=y"
        )
        stages = posts.rows(found, "stages")
        assert [posts.text(stage, "name") for stage in stages] == ["A", "B"]
        assert posts.texts(stages[1], "channels") == ["x", "y"]

    @pytest.mark.parametrize(
        "hostile",
        [
            "stages=1&stages.0.name=A",
            "stages.0=x&stages.0.name=A",
            "stages.0.name=A&stages.0.name.x=B",
            "__class__=x&stages.__init__=y&a..b=1&.=2",
            "stages.999999.name=A",
            "&".join(f"stages.{n}.name=A" for n in range(300)),
            "stages.0." + "a." * 50 + "b=1",
            "stages.0.condition=x&stages.0.need.blocks.0.places=x&calendar=5",
            "version=%00&name=" + "x" * 20_000,
        ],
    )
    def test_hostile_posts_make_a_draft_all_the_same(self, hostile: str) -> None:
        draft = PolicyDraft.read(posted(hostile))
        assert len(draft.stages) <= posts.MAX_PARTS
        assert len(draft.name) <= posts.MAX_TEXT
        draft.write()


class TestButtons:
    def draft(self) -> PolicyDraft:
        names = "&".join(f"stages.{n}.name={name}" for n, name in enumerate("ABC"))
        return PolicyDraft.read(posted(names))

    def names(self, draft: PolicyDraft) -> str:
        return "".join(stage.name or "-" for stage in draft.stages)

    def test_stages_come_go_and_move(self) -> None:
        draft = self.draft()
        assert press(draft, "add-stage")
        assert self.names(draft) == "ABC-"
        assert draft.stages[3].has_focus
        press(draft, "up:stages.2")
        assert self.names(draft) == "ACB-"
        press(draft, "remove:stages.0")
        assert self.names(draft) == "CB-"
        assert [stage.prefix for stage in draft.stages] == ["stages.0", "stages.1", "stages.2"]
        press(draft, "up:stages.0")
        press(draft, "down:stages.2")
        assert self.names(draft) == "CB-"

    def test_people_are_added_beside_and_instead(self) -> None:
        draft = self.draft()
        press(draft, "add-people:stages.0.need")
        press(draft, "add-or:stages.0.need.blocks.1")
        need = draft.stages[0].need
        assert [len(block.places) for block in need.blocks] == [1, 2]
        press(draft, "remove:stages.0.need.blocks.0.places.0")
        assert [len(block.places) for block in need.blocks] == [2]

    def test_somebody_is_always_asked(self) -> None:
        draft = self.draft()
        press(draft, "remove:stages.0.need.blocks.0.places.0")
        assert len(draft.stages[0].need.blocks[0].places) == 1

    @pytest.mark.parametrize(
        "button", ["look", "save", "add-stage:stages.0", "remove:", "up:x", "add-step:nowhere", ""]
    )
    def test_other_buttons_change_nothing(self, button: str) -> None:
        draft = self.draft()
        press(draft, button)
        assert self.names(draft) == "ABC"

    def test_nothing_grows_without_end(self) -> None:
        draft = self.draft()
        for _ in range(posts.MAX_PARTS + 20):
            press(draft, "add-reminder:stages.0")
        assert len(draft.stages[0].reminders) == posts.MAX_PARTS
