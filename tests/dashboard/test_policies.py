"""The pages of policies, rules and groups: who may, nothing is lost, nobody is overwritten."""

import re
from typing import Any

import pytest
from django.test import Client

from hitl.accounts.models import Agent, Group, Role, Team, User
from hitl.accounts.services import add_member
from tests.dashboard.browser import logged_in, text
from tests.dashboard.filled_forms import FilledForm
from tests.dashboard.screens import words
from tests.workflows.factories import ActionTypeFactory, decide, make_workflow
from tests.workflows.policy_samples import finance_then_cfo, group, member, one_approver, stage
from workflows import policy_books
from workflows.models import Policy, RuleSet
from workflows.policy_cast import Cast

pytestmark = pytest.mark.django_db

LIST = "/teams/payments/policies/"
NEW = f"{LIST}new/"
RULES = "/teams/payments/rules/"
GROUPS = "/teams/payments/groups/"


@pytest.fixture
def mia(manager: User) -> Client:
    """The manager's browser."""
    return logged_in(manager)


def form_of(client: Client, url: str) -> FilledForm:
    return FilledForm(text(client.get(url)), "draft")


def press(client: Client, url: str, fields: Any, button: str) -> Any:
    return client.post(url, {**fields, "do": button})


def saved(team: Team, document: Any, by: User) -> Policy:
    return policy_books.save_policy(team, document, by=by)


class TestWhoMay:
    PATHS = (LIST, NEW, RULES, f"{RULES}history/", GROUPS, f"{GROUPS}new/")

    @pytest.mark.parametrize("path", PATHS)
    def test_managers_of_the_team_only(
        self, path: str, mia: Client, approver: User, viewer: User, stranger: User
    ) -> None:
        assert mia.get(path).status_code == 200
        assert logged_in(approver).get(path).status_code == 403
        assert logged_in(viewer).get(path).status_code == 403
        assert logged_in(stranger).get(path).status_code == 404
        assert Client().get(path).status_code == 302
        assert logged_in(approver).post(path, {"do": "save", "name": "X"}).status_code == 403

    def test_policy_of_another_team_is_not_there(
        self, mia: Client, team: Team, manager: User, stranger: User
    ) -> None:
        elsewhere = Team.objects.get(slug="elsewhere")
        policy = policy_books.save_policy(elsewhere, one_approver(), by=stranger)
        legal = group(elsewhere, "Legal")
        for path in (
            f"{LIST}{policy.pk}/",
            f"{LIST}{policy.pk}/history/",
            f"{GROUPS}{legal.pk}/",
        ):
            assert mia.get(path).status_code == 404
        for path in (
            f"{LIST}{policy.pk}/use/",
            f"{LIST}{policy.pk}/history/1/restore/",
            f"{GROUPS}{legal.pk}/delete/",
        ):
            assert mia.post(path, {"do": "archive", "version": "1"}).status_code == 404
        assert Group.objects.filter(pk=legal.pk).exists()

    def test_navigation_leads_managers_there(self, mia: Client, approver: User, team: Team) -> None:
        assert 'href="/teams/"' in text(mia.get("/"))
        assert 'href="/teams/"' not in text(logged_in(approver).get("/"))
        assert mia.get("/teams/")["Location"] == LIST
        assert logged_in(approver).get("/teams/").status_code == 403

    def test_manager_of_two_teams_chooses(self, mia: Client, manager: User, stranger: User) -> None:
        add_member(Team.objects.get(slug="elsewhere"), manager, Role.MANAGER)
        assert "/teams/elsewhere/policies/" in text(mia.get(LIST))


class TestList:
    def test_policies_are_told_in_words_with_their_use(
        self, mia: Client, team: Team, manager: User, colleague: User
    ) -> None:
        group(team, "Finance", manager, colleague)
        policy = saved(team, finance_then_cfo(manager, colleague), manager)
        ActionTypeFactory(team=team, name="payments.refund", policy=policy)
        page = words(text(mia.get(LIST)))
        assert "Two of Finance, then Mia Manager if amount is more than 10,000." in page
        assert "Used by the action type payments.refund." in page

    def test_buttons_archive_restore_and_make_default(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        policy = saved(team, one_approver(), manager)

        def do(what: str) -> Policy:
            assert mia.post(f"{LIST}{policy.pk}/use/", {"do": what}).status_code == 302
            return Policy.objects.get()

        assert do("default").is_default
        assert do("archive").archived_at is None
        assert "its default" in text(mia.get(LIST))
        assert not do("no-default").is_default
        assert do("archive").archived_at
        assert "Archived (1)" in text(mia.get(LIST))
        assert do("restore").archived_at is None
        assert do("nonsense").archived_at is None

    def test_looking_at_a_button_changes_nothing(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        policy = saved(team, one_approver(), manager)
        for path in ("use/", "history/1/restore/"):
            assert mia.get(f"{LIST}{policy.pk}/{path}").status_code == 302
        assert Policy.objects.get().version == 1


class TestEditor:
    def test_every_beginning_can_be_opened(self, mia: Client) -> None:
        for start in ("one", "two", "stages", "nonsense", ""):
            assert mia.get(f"{NEW}?start={start}").status_code == 200

    def test_the_example_needs_four_fields(
        self, mia: Client, team: Team, manager: User, colleague: User
    ) -> None:
        group(team, "Finance", manager, colleague)
        form = form_of(mia, f"{NEW}?start=stages")
        deputy = f"user:{colleague.pk}"
        answer = press(
            mia,
            NEW,
            form.with_(
                name="Large refunds",
                stages__0__steps__0__who__choice=deputy,
                stages__1__steps__0__who__choice=deputy,
                stages__1__need__blocks__0__places__0__who__choice=f"user:{manager.pk}",
            ),
            "save",
        )
        assert answer.status_code == 302
        expected = policy_books.check_policy(finance_then_cfo(manager, colleague), Cast.of(team))
        assert Policy.objects.get().document == expected

    @pytest.mark.parametrize("mode", ["form", "yaml"])
    def test_opened_and_saved_as_it_is_nothing_changes(
        self, mia: Client, team: Team, manager: User, colleague: User, mode: str
    ) -> None:
        group(team, "Finance", manager, colleague)
        document = finance_then_cfo(manager, colleague) | {
            "calendar": {"zone": "Europe/Berlin", "quiet": [["22:00", "07:00"]]},
            "differentPeople": True,
        }
        document["stages"][0] |= {"stepUp": ["high"], "channels": ["slack"], "allowEdit": False}
        policy = saved(team, document, manager)
        url = f"{LIST}{policy.pk}/"
        form = form_of(mia, f"{url}?as={mode}")
        assert press(mia, url, form.fields, "save").status_code == 302
        assert Policy.objects.get().version == 1

    def test_policy_beyond_the_form_opens_as_yaml(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        leaf = {"who": {"team": "approvers"}}
        deep = {"allOf": [leaf, {"anyOf": [leaf, {"allOf": [leaf, leaf]}]}]}
        policy = saved(team, {"name": "Deep", "stages": [{"name": "S", "need": deep}]}, manager)
        page = text(mia.get(f"{LIST}{policy.pk}/"))
        assert "says more than the form can show" in page
        assert "all_of:" in page

    def test_faults_are_at_their_fields_and_nothing_typed_is_lost(self, mia: Client) -> None:
        form = form_of(mia, f"{NEW}?start=stages")
        answer = press(
            mia,
            NEW,
            form.with_(
                name="",
                timeout="a day",
                stages__0__name="Fin<b>ance",
                stages__0__reminders__0__time="soon",
                stages__1__condition__value="",
                note="Because",
            ),
            "save",
        )
        page = text(answer)
        assert answer.status_code == 400
        for name in (
            "name", "timeout", "stages.0.reminders.0.time", "stages.1.condition.value",
            "stages.0.need.blocks.0.places.0.who.choice", "stages.0.steps.0.who.choice",
        ):  # fmt: skip
            assert f'id="{name}-fault"' in page, name
        again = FilledForm(page, "draft")
        assert again.fields["timeout"] == ["a day"]
        assert again.fields["stages.0.reminders.0.time"] == ["soon"]
        assert again.fields["note"] == ["Because"]
        assert "Fin&lt;b&gt;ance" in page
        assert not Policy.objects.exists()

    def test_buttons_draw_the_form_anew(self, mia: Client) -> None:
        form = form_of(mia, f"{NEW}?start=one")
        page = text(press(mia, NEW, form.with_(name="Kept"), "add-stage"))
        again = FilledForm(page, "draft")
        assert again.fields["name"] == ["Kept"]
        assert "stages.1.name" in again.fields
        page = text(press(mia, NEW, again.fields, "add-step:stages.1"))
        assert "stages.1.steps.0.after" in FilledForm(page, "draft").fields

    def test_words_tell_what_is_missing_then_what_it_says(self, mia: Client, team: Team) -> None:
        form = form_of(mia, f"{NEW}?start=two")
        page = words(text(press(mia, NEW, form.fields, "look")))
        assert "Give the policy a name." in page
        assert "Stage 1: choose who is asked." in page
        page = words(
            text(
                press(
                    mia,
                    NEW,
                    form.with_(name="P", stages__0__need__blocks__0__places__0__who__choice="team"),
                    "look",
                )
            )
        )
        assert "Two of the approvers." in page
        assert "The team has one person who may decide, and 2 are wanted." in page

    def test_group_that_is_gone_is_still_shown(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        group(team, "Finance", manager)
        policy = saved(team, {"name": "P", "stages": [stage("S", {"group": "finance"})]}, manager)
        Group.objects.all().delete()
        page = text(mia.get(f"{LIST}{policy.pk}/"))
        assert "finance (cannot be asked any more)" in page
        answer = press(mia, f"{LIST}{policy.pk}/", FilledForm(page, "draft").fields, "save")
        assert answer.status_code == 400

    def test_somebody_elses_save_is_not_overwritten_unasked(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        policy = saved(team, one_approver(), manager)
        url = f"{LIST}{policy.pk}/"
        form = form_of(mia, url)
        max_ = member(team, "Max Manager", Role.MANAGER)
        policy_books.save_policy(
            team, one_approver() | {"allowTwice": True}, by=max_, policy_id=policy.pk
        )
        mine = form.with_(timeout="2d")
        answer = press(mia, url, mine, "save")
        assert answer.status_code == 409
        assert "Max Manager has saved version 2" in text(answer)
        kept = FilledForm(text(answer), "draft")
        assert kept.fields["timeout"] == ["2d"]
        assert "allowTwice" in Policy.objects.get().document
        assert press(mia, url, kept.fields, "save").status_code == 409
        assert press(mia, url, kept.fields, "save-over").status_code == 302
        assert Policy.objects.get().document["timeoutSeconds"] == 172_800

    def test_page_without_its_version_is_refused(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        policy = saved(team, one_approver(), manager)
        url = f"{LIST}{policy.pk}/"
        form = form_of(mia, url)
        assert press(mia, url, form.with_(version="x"), "save").status_code == 400

    def test_yaml_faults_name_their_lines(self, mia: Client, team: Team) -> None:
        yaml = "name: P\nstages:\n  - name: S\n    need: 2 of group nobody\n"
        answer = press(mia, NEW, {"mode": "yaml", "yaml": yaml}, "save")
        page = words(text(answer))
        assert answer.status_code == 400
        assert "Line 4: There is no group 'nobody' in Payments. Make it first." in page
        assert "— need: 2 of group nobody" in page
        assert "2 of group nobody" in FilledForm(text(answer), "draft").fields["yaml"][0]

    def test_form_becomes_yaml_and_form_again(self, mia: Client, team: Team) -> None:
        form = form_of(mia, f"{NEW}?start=one").with_(name="P", timeout="1d")
        as_yaml = FilledForm(text(press(mia, NEW, form, "yaml")), "draft")
        assert as_yaml.fields["mode"] == ["yaml"]
        assert "timeout: 1d" in as_yaml.fields["yaml"][0]
        as_form = FilledForm(text(press(mia, NEW, as_yaml.fields, "form")), "draft")
        assert as_form.fields["timeout"] == ["1d"]

    def test_dry_run_tells_what_would_differ(
        self, mia: Client, team: Team, agent: Agent, approver: User
    ) -> None:
        decide(make_workflow(agent), approver)
        form = form_of(mia, f"{NEW}?start=two").with_(
            name="P", stages__0__need__blocks__0__places__0__who__choice="team"
        )
        page = words(text(press(mia, NEW, form, "try")))
        assert "The last request would have gone another way." in page
        assert "waiting for the approvers" in page
        assert not Policy.objects.exists()


class TestVersions:
    def test_who_when_and_what_changed(self, mia: Client, team: Team, manager: User) -> None:
        policy = saved(team, one_approver(), manager)
        changed = one_approver() | {"timeoutSeconds": 86_400}
        policy_books.save_policy(
            team, changed, by=manager, policy_id=policy.pk, note="As agreed <today>"
        )
        page = text(mia.get(f"{LIST}{policy.pk}/history/"))
        assert re.search(r"<ins>\s*timeout: 1d</ins>", page)
        assert "As agreed &lt;today&gt;" in page
        assert "Mia Manager" in page

    def test_restore(self, mia: Client, team: Team, manager: User) -> None:
        policy = saved(team, one_approver(), manager)
        changed = one_approver() | {"timeoutSeconds": 86_400}
        policy_books.save_policy(team, changed, by=manager, policy_id=policy.pk)
        url = f"{LIST}{policy.pk}/history/1/restore/"
        assert mia.post(url, {"version": "1"}).status_code == 409
        assert mia.post(url, {"version": "2"}).status_code == 302
        assert Policy.objects.get().version == 3
        assert "timeoutSeconds" not in Policy.objects.get().document
        assert mia.post(f"{LIST}{policy.pk}/history/9/restore/").status_code == 404


class TestRules:
    def test_rules_are_built_saved_and_told(self, mia: Client, team: Team, manager: User) -> None:
        saved(team, one_approver(), manager)
        first = FilledForm(text(press(mia, RULES, form_of(mia, RULES).fields, "add-rule")), "draft")
        fields = first.with_(
            rules__0__name="Small", rules__0__condition__field="amount",
            rules__0__condition__comparison="<", rules__0__condition__value="50",
            rules__0__then="approve", rules__0__until="2027-01-01", rules__0__budget_count="20",
            rules__0__budget_per="1d", rules__0__budget_of="amount", rules__0__budget_sum="500",
        )  # fmt: skip
        page = words(text(press(mia, RULES, fields, "look")))
        assert (
            "If amount is less than 50, it is approved without asking anybody: at most 20 times "
            "and 500 of amount in all within 1 day, until 2027-01-01." in page
        )
        assert press(mia, RULES, fields, "save").status_code == 302
        assert RuleSet.objects.get().rules == [
            {
                "name": "Small",
                "when": "data.amount < 50",
                "then": "approve",
                "until": "2027-01-01T00:00:00Z",
                "budget": {"count": 20, "per": 86_400, "of": "data.amount", "sum": 500},
            }
        ]
        again = form_of(mia, RULES)
        assert press(mia, RULES, again.fields, "save").status_code == 302
        assert RuleSet.objects.count() == 1

    def test_faults_are_at_their_fields(self, mia: Client) -> None:
        first = FilledForm(text(press(mia, RULES, form_of(mia, RULES).fields, "add-rule")), "draft")
        answer = press(mia, RULES, first.with_(rules__0__then="approve"), "save")
        page = text(answer)
        assert answer.status_code == 400
        for name in ("condition.value", "name", "until", "budget_count"):
            assert f'id="rules.0.{name}-fault"' in page, name

    def test_somebody_elses_rules_are_not_overwritten(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        form = form_of(mia, RULES)
        deny = {"name": "No", "when": "true", "then": "deny"}
        policy_books.save_rules(team, [deny], by=manager)
        mine = {
            **form.fields,
            "mode": "yaml",
            "yaml": "rules:\n  - {name: A, when: 'true', then: ask}",
        }
        assert press(mia, RULES, mine, "save").status_code == 409
        assert press(mia, RULES, mine, "save-over").status_code == 302
        assert [s.rules[0]["name"] for s in RuleSet.objects.all()] == ["A", "No"]

    def test_all_rules_can_be_taken_away_and_come_back(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        policy_books.save_rules(team, [{"name": "No", "when": "true", "then": "deny"}], by=manager)
        form = form_of(mia, RULES)
        removed = FilledForm(text(press(mia, RULES, form.fields, "remove:rules.0")), "draft")
        assert press(mia, RULES, removed.fields, "save").status_code == 302
        assert policy_books.rules_of(team).rules == []
        history = f"{RULES}history/"
        assert "from a file" not in text(mia.get(history))
        assert mia.post(history, {"number": "1"}).status_code == 302
        assert policy_books.rules_of(team).rules[0]["name"] == "No"
        assert mia.post(history, {"number": "9"}).status_code == 400

    def test_dry_run(self, mia: Client, agent: Agent, approver: User) -> None:
        make_workflow(agent)
        yaml = "rules:\n  - {name: No, when: data.amount > 100, then: deny}\n"
        page = words(text(press(mia, RULES, {"mode": "yaml", "yaml": yaml}, "try")))
        assert "The last request would have gone another way." in page
        assert "Rejected by a rule" in page
        assert "The rule 'No' matches: data.amount is 120." in page
        assert not RuleSet.objects.exists()


class TestGroups:
    def test_group_is_made_changed_and_deleted(
        self, mia: Client, team: Team, manager: User, colleague: User
    ) -> None:
        made = mia.post(f"{GROUPS}new/", {"name": " Finance  EU ", "members": [colleague.pk]})
        finance = Group.objects.get()
        assert made.status_code == 302
        assert (finance.name, finance.slug, finance.team) == ("Finance EU", "finance-eu", team)
        assert list(finance.members.all()) == [colleague]
        url = f"{GROUPS}{finance.pk}/"
        mia.post(url, {"name": "Finance", "members": [manager.pk, colleague.pk]})
        finance.refresh_from_db()
        assert (finance.name, finance.slug) == ("Finance", "finance-eu")
        assert finance.members.count() == 2
        assert "Finance" in text(mia.get(GROUPS))
        assert mia.post(f"{url}delete/").status_code == 302
        assert not Group.objects.exists()

    def test_group_that_is_asked_is_not_deleted(
        self, mia: Client, team: Team, manager: User
    ) -> None:
        finance = group(team, "Finance", manager)
        saved(team, {"name": "P", "stages": [stage("S", {"group": "finance"})]}, manager)
        mia.post(f"{GROUPS}{finance.pk}/delete/")
        assert "is asked by P" in text(mia.get(f"{GROUPS}{finance.pk}/"))
        assert Group.objects.exists()

    @pytest.mark.parametrize("name", ["", "  ", "x" * 81, "finance", "a\u202eb"])
    def test_names_that_cannot_be(self, mia: Client, team: Team, name: str) -> None:
        group(team, "Finance")
        answer = mia.post(f"{GROUPS}new/", {"name": name})
        assert answer.status_code == 400
        assert Group.objects.count() == 1

    def test_strangers_cannot_be_put_into_a_group(
        self, mia: Client, team: Team, stranger: User
    ) -> None:
        for id_ in (stranger.pk, "nobody", ""):
            answer = mia.post(f"{GROUPS}new/", {"name": "Finance", "members": [id_]})
            assert answer.status_code == 400
        assert not Group.objects.exists()
