"""Policies, rules and groups as people edit them: versions, refusals, and two at once."""

from typing import Any

import pytest

from hitl.accounts.models import Group, Membership, Role, Team, User
from hitl.lib.errors import Conflict, Forbidden, InvalidInput, NotFound
from tests.racing import race
from tests.workflows.factories import ActionTypeFactory, make_workflow
from tests.workflows.policy_samples import finance_then_cfo, group, member, one_approver, stage
from workflows import policy_books as books
from workflows.models import Policy, PolicyVersion, RuleSet
from workflows.policy_books import Overtaken
from workflows.policy_cast import Cast

pytestmark = pytest.mark.django_db

ASK = {"name": "Large", "when": "data.amount > 100", "then": "ask", "policy": "Refunds"}
DENY = {"name": "None of these", "when": 'action_type == "x"', "then": "deny"}


def pointers(caught: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [error.pointer for error in caught.value.errors]


class TestSavingAPolicy:
    def test_new_policy_is_normal_and_has_its_first_version(
        self, team: Team, manager: User
    ) -> None:
        policy = books.save_policy(team, one_approver(), by=manager, note=" as agreed ")
        version = policy.versions.get()
        assert (policy.name, policy.version, policy.is_default) == ("Refunds", 1, False)
        assert policy.document["stages"][0]["onReject"] == "deny"
        assert (version.number, version.created_by, version.note) == (1, manager, "as agreed")
        assert version.document == policy.document

    def test_every_change_is_a_version(self, team: Team, manager: User, colleague: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        changed = one_approver() | {"allowRequester": True}
        books.save_policy(team, changed, by=manager, policy_id=policy.pk, expected_version=1)
        policy.refresh_from_db()
        assert policy.version == 2
        assert policy.document["allowRequester"]
        assert [v.number for v in policy.versions.all()] == [2, 1]
        assert "allowRequester" not in PolicyVersion.objects.get(number=1).document

    def test_the_same_again_makes_no_version(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        again = books.save_policy(team, one_approver(), by=manager, policy_id=policy.pk)
        assert again.version == 1
        assert PolicyVersion.objects.count() == 1

    def test_who_read_an_older_version_is_told_who_saved(self, team: Team, manager: User) -> None:
        other = member(team, "Max Manager", Role.MANAGER)
        policy = books.save_policy(team, one_approver(), by=manager)
        theirs = one_approver() | {"differentPeople": True}
        books.save_policy(team, theirs, by=other, policy_id=policy.pk, expected_version=1)
        mine = one_approver() | {"allowTwice": True}
        with pytest.raises(Overtaken, match="Max Manager has saved version 2") as caught:
            books.save_policy(team, mine, by=manager, policy_id=policy.pk, expected_version=1)
        assert caught.value.version == 2
        policy.refresh_from_db()
        assert "differentPeople" in policy.document
        assert "allowTwice" not in policy.document

    def test_only_managers_of_the_team_may(
        self, team: Team, manager: User, approver: User, viewer: User, stranger: User
    ) -> None:
        for person in (approver, viewer, stranger):
            with pytest.raises(Forbidden, match="Only managers of Payments"):
                books.save_policy(team, one_approver(), by=person)
        manager.is_active = False
        manager.save()
        with pytest.raises(Forbidden):
            books.save_policy(team, one_approver(), by=manager)
        assert not Policy.objects.exists()

    def test_another_teams_policy_is_not_there(
        self, team: Team, manager: User, stranger: User
    ) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        elsewhere = Team.objects.get(slug="elsewhere")
        with pytest.raises(NotFound):
            books.save_policy(elsewhere, one_approver("Mine"), by=stranger, policy_id=policy.pk)

    def test_name_is_taken_once_a_team(self, team: Team, manager: User, stranger: User) -> None:
        books.save_policy(team, one_approver(), by=manager)
        with pytest.raises(InvalidInput, match="Choose another") as caught:
            books.save_policy(team, one_approver(), by=manager)
        assert pointers(caught) == ["/name"]
        books.save_policy(Team.objects.get(slug="elsewhere"), one_approver(), by=stranger)

    def test_archived_name_is_taken_too_and_says_so(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        books.archive(team, policy.pk, by=manager)
        with pytest.raises(InvalidInput, match="It is archived: restore it"):
            books.save_policy(team, one_approver(), by=manager)

    def test_name_fits_its_column(self, team: Team, manager: User) -> None:
        with pytest.raises(InvalidInput) as caught:
            books.save_policy(team, one_approver("x" * 101), by=manager)
        assert pointers(caught) == ["/name"]

    def test_new_name_goes_into_the_rules(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        books.save_rules(team, [ASK, DENY], by=manager)
        books.save_policy(team, one_approver("Repayments"), by=manager, policy_id=policy.pk)
        rules = books.rules_of(team)
        assert rules.number == 2
        assert rules.rules[0]["policy"] == "Repayments"
        assert rules.note == "The policy Refunds is now called Repayments"

    def test_earlier_version_is_saved_anew(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        changed = one_approver() | {"allowRequester": True}
        books.save_policy(team, changed, by=manager, policy_id=policy.pk)
        restored = books.restore_version(team, policy.pk, 1, by=manager, expected_version=2)
        assert restored.version == 3
        assert "allowRequester" not in restored.document
        assert restored.versions.first().note == "Version 1 restored"  # type: ignore[union-attr]
        with pytest.raises(NotFound):
            books.restore_version(team, policy.pk, 9, by=manager)


class TestPeopleInAPolicy:
    def refused(self, team: Team, by: User, who: dict[str, Any]) -> list[tuple[str, str]]:
        document = {"name": "P", "stages": [stage("S", who)]}
        with pytest.raises(InvalidInput) as caught:
            books.save_policy(team, document, by=by)
        return [(error.pointer, error.message) for error in caught.value.errors]

    def test_unknown_group_is_named_with_a_remedy(self, team: Team, manager: User) -> None:
        group(team, "Finance", manager)
        place, said = self.refused(team, manager, {"group": "finanse"})[0]
        assert place == "/stages/0/need/who/group"
        assert "no group 'finanse'" in said
        assert "Did you mean finance?" in said

    def test_group_of_another_team_is_unknown(
        self, team: Team, manager: User, stranger: User
    ) -> None:
        group(Team.objects.get(slug="elsewhere"), "Finance", stranger)
        assert "Make it first" in self.refused(team, manager, {"group": "finance"})[0][1]

    def test_strangers_and_viewers_cannot_be_named(
        self, team: Team, manager: User, viewer: User, stranger: User
    ) -> None:
        users = [str(manager.pk), str(stranger.pk), str(viewer.pk)]
        found = self.refused(team, manager, {"users": users})
        assert [place for place, _ in found] == [
            "/stages/0/need/who/users/1",
            "/stages/0/need/who/users/2",
        ]
        assert "is not in Payments" in found[0][1]
        assert "Vic Viewer may not decide" in found[1][1]

    def test_roles_are_those_there_are(self, team: Team, manager: User) -> None:
        place, said = self.refused(team, manager, {"roles": ["manger"]})[0]
        assert place == "/stages/0/need/who/roles/0"
        assert "Did you mean manager?" in said

    def test_people_of_branches_and_escalations_are_looked_at(
        self, team: Team, manager: User
    ) -> None:
        nobody = {"who": {"group": "nobody"}}
        document = {
            "name": "P",
            "stages": [
                {
                    "name": "S",
                    "need": {"allOf": [{"who": {"team": "approvers"}}, {"anyOf": [nobody]}]},
                    "escalation": [{"after": 60, "to": {"users": ["nobody"]}}],
                }
            ],
        }
        with pytest.raises(InvalidInput) as caught:
            books.save_policy(team, document, by=manager)
        assert pointers(caught) == [
            "/stages/0/need/allOf/1/anyOf/0/who/group",
            "/stages/0/escalation/0/to/users/0",
        ]

    def test_channels_are_those_there_are(self, team: Team, manager: User) -> None:
        document = one_approver()
        document["stages"][0]["channels"] = ["slak"]
        with pytest.raises(InvalidInput, match="Did you mean slack"):
            books.save_policy(team, document, by=manager)


class TestTakingOutOfUse:
    def test_archived_policy_comes_back(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        assert books.archive(team, policy.pk, by=manager).archived_at
        assert books.active_names(team) == []
        assert books.unarchive(team, policy.pk, by=manager).archived_at is None

    def test_it_is_refused_while_something_uses_it(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        ActionTypeFactory(team=team, name="payments.refund", policy=policy)
        books.save_rules(team, [ASK], by=manager)
        books.make_default(team, policy.pk, by=manager)
        with pytest.raises(Conflict) as caught:
            books.archive(team, policy.pk, by=manager)
        for what in ("its default", "the action type payments.refund", "the rule 'Large'"):
            assert what in str(caught.value)

    def test_it_comes_back_only_if_its_people_are_still_there(
        self, team: Team, manager: User
    ) -> None:
        finance = group(team, "Finance", manager)
        document = {"name": "F", "stages": [stage("S", {"group": "finance"})]}
        policy = books.save_policy(team, document, by=manager)
        books.archive(team, policy.pk, by=manager)
        books.delete_group(finance, by=manager)
        with pytest.raises(InvalidInput, match="no group 'finance'"):
            books.unarchive(team, policy.pk, by=manager)

    def test_one_default_a_team(self, team: Team, manager: User) -> None:
        first = books.save_policy(team, one_approver("A"), by=manager)
        second = books.save_policy(team, one_approver("B"), by=manager)
        books.make_default(team, first.pk, by=manager)
        books.make_default(team, second.pk, by=manager)
        assert [p.name for p in Policy.objects.filter(is_default=True)] == ["B"]
        books.make_default(team, None, by=manager)
        assert not Policy.objects.filter(is_default=True).exists()
        books.archive(team, first.pk, by=manager)
        with pytest.raises(Conflict, match="is archived"):
            books.make_default(team, first.pk, by=manager)

    @pytest.mark.parametrize("write", ["archive", "unarchive", "make_default", "rules", "group"])
    def test_no_write_is_for_approvers(self, team: Team, approver: User, write: str) -> None:
        policy = books.save_policy(team, one_approver(), by=None)
        finance = group(team, "Finance", approver)
        writes: dict[str, Any] = {
            "archive": lambda: books.archive(team, policy.pk, by=approver),
            "unarchive": lambda: books.unarchive(team, policy.pk, by=approver),
            "make_default": lambda: books.make_default(team, policy.pk, by=approver),
            "rules": lambda: books.save_rules(team, [], by=approver),
            "group": lambda: books.delete_group(finance, by=approver),
        }
        with pytest.raises(Forbidden):
            writes[write]()


class TestRules:
    def test_every_save_is_a_new_set(self, team: Team, manager: User) -> None:
        books.save_policy(team, one_approver(), by=manager)
        assert books.rules_of(team).number == 0
        books.save_rules(team, [DENY], by=manager, expected_number=0, note="First")
        newest = books.save_rules(team, [DENY, ASK], by=manager, expected_number=1)
        assert newest.number == 2
        assert [rule["name"] for rule in books.rules_of(team).rules] == ["None of these", "Large"]
        assert RuleSet.objects.get(number=1).note == "First"

    def test_the_same_again_makes_none(self, team: Team, manager: User) -> None:
        books.save_rules(team, [DENY], by=manager)
        assert books.save_rules(team, [DENY], by=manager).number == 1
        assert books.save_rules(team, [], by=manager).number == 2

    def test_older_reader_is_told(self, team: Team, manager: User) -> None:
        books.save_rules(team, [DENY], by=manager)
        with pytest.raises(Overtaken, match="version 1 of the rules"):
            books.save_rules(team, [], by=manager, expected_number=0)

    def test_policy_of_a_rule_has_to_be_there(self, team: Team, manager: User) -> None:
        with pytest.raises(InvalidInput, match="no policy yet") as caught:
            books.save_rules(team, [DENY, ASK], by=manager)
        assert pointers(caught) == ["/1/policy"]
        policy = books.save_policy(team, one_approver("Refund"), by=manager)
        with pytest.raises(InvalidInput, match="Refund"):
            books.save_rules(team, [ASK], by=manager)
        books.archive(team, policy.pk, by=manager)
        with pytest.raises(InvalidInput):
            books.save_rules(team, [ASK | {"policy": "Refund"}], by=manager)


class TestGroups:
    def test_group_that_a_policy_asks_stays(
        self, team: Team, manager: User, colleague: User
    ) -> None:
        finance = group(team, "Finance", manager, colleague)
        books.save_policy(team, finance_then_cfo(manager, colleague), by=manager)
        assert books.users_of_group(finance) == ["Large refunds"]
        with pytest.raises(Conflict, match="is asked by Large refunds"):
            books.delete_group(finance, by=manager)

    def test_group_that_an_open_request_asks_stays(
        self, team: Team, manager: User, agent: Any
    ) -> None:
        finance = group(team, "Finance", manager)
        workflow = make_workflow(agent)
        workflow.policy = books.check_policy(
            {"name": "F", "stages": [stage("S", {"group": str(finance.pk)})]},
            Cast.of(team),
        )
        workflow.save()
        with pytest.raises(Conflict, match="open request 'Refund order A-1009'"):
            books.delete_group(finance, by=manager)
        assert Group.objects.exists()

    def test_group_that_nothing_asks_goes(self, team: Team, manager: User) -> None:
        books.delete_group(group(team, "Legal"), by=manager)
        assert not Group.objects.exists()


class TestWarnings:
    def test_group_too_small_is_pointed_out(self, team: Team, manager: User) -> None:
        group(team, "Finance", manager)
        member(team, "Vera Viewer", Role.VIEWER)
        document = books.check_policy(
            {"name": "P", "stages": [stage("S", {"group": "finance"}, 2)]}, Cast.of(team)
        )
        assert Cast.of(team).warnings(document) == [
            "Finance has one person who may decide, and 2 are wanted."
        ]
        group_ = Group.objects.get()
        group_.members.add(member(team, "Max Manager", Role.MANAGER))
        assert Cast.of(team).warnings(document) == []

    def test_who_lost_the_right_does_not_count(self, team: Team, manager: User) -> None:
        document = books.check_policy(
            {"name": "P", "stages": [stage("S", {"roles": ["manager"]})]}, Cast.of(team)
        )
        Membership.objects.filter(user=manager).update(role=Role.VIEWER)
        said = Cast.of(team).warnings(document)
        assert said == [
            "The team has nobody with the role manager who may decide, and 1 are wanted."
        ]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_one_of_two_saves_wins_and_the_other_is_told(self, team: Team, manager: User) -> None:
        policy = books.save_policy(team, one_approver(), by=manager)
        for turn in range(20):
            documents = [
                one_approver() | {"timeoutSeconds": 1000 + 2 * turn + side} for side in (0, 1)
            ]
            version = Policy.objects.get().version

            def save(document: dict[str, Any], version: int = version) -> str:
                try:
                    books.save_policy(
                        team, document, by=manager, policy_id=policy.pk, expected_version=version
                    )
                except Overtaken:
                    return "told"
                return "saved"

            results = race(*[lambda d=document: save(d) for document in documents])
            assert sorted(results) == ["saved", "told"]
        assert Policy.objects.get().version == PolicyVersion.objects.count() == 21

    def test_policy_is_not_archived_while_a_rule_names_it(self, team: Team, manager: User) -> None:
        for turn in range(20):
            policy = books.save_policy(team, one_approver(f"P{turn}"), by=manager)
            rule = ASK | {"policy": policy.name, "name": f"R{turn}"}

            def name(rule: dict[str, Any] = rule) -> str:
                try:
                    books.save_rules(team, [rule], by=manager)
                except InvalidInput:
                    return "refused"
                return "named"

            def archive(policy: Policy = policy) -> str:
                try:
                    books.archive(team, policy.pk, by=manager)
                except Conflict:
                    return "refused"
                return "archived"

            assert sorted(race(name, archive)) in (["archived", "refused"], ["named", "refused"])
