"""Statistics over the API: equal to counting by hand, per team, and only for who may see them."""

import datetime as dt
import random
from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from tests.accounts.factories import UserFactory
from tests.workflows.api.callers import Caller, as_agent, as_user, code, places
from tests.workflows.factories import make_workflow
from tests.workflows.statistics import brute_force, lives
from tests.workflows.statistics.brute_force import Tally
from workflows.models import Workflow
from workflows.statistics import sweeping

pytestmark = pytest.mark.django_db
PATH = "/api/v1/statistics"
LIVES = 90


def get(caller: Caller, **params: Any) -> Any:
    answer = caller.get(PATH, {name.rstrip("_"): value for name, value in params.items()})
    assert answer.status_code == 200, answer.content
    return answer.json()


def assert_same(found: dict[str, Any], wanted: Tally, **spreads: str) -> None:
    """Every count of ours is the one counted by hand; durations fall where they belong."""
    wrong = {
        name: (number, wanted.counts[name])
        for name, number in found.items()
        if isinstance(number, int) and name not in ("byPeople", "byRule")
        if number != wanted.counts[name]
    }
    assert wrong == {}
    for name, times in spreads.items():
        assert_spread(found[name], sorted(wanted.times.get(times, [])))


def assert_spread(found: dict[str, Any], times: list[float]) -> None:
    assert found["count"] == len(times)
    for bucket in found["histogram"]:
        high = float("inf") if bucket["to"] is None else bucket["to"]
        assert bucket["count"] == sum(bucket["from"] <= one < high for one in times)
    if times:
        assert abs(found["meanSeconds"] - sum(times) / len(times)) <= 20
        for name, share in (("p50", 0.5), ("p90", 0.9)):
            exact = times[max(0, -int(-share * len(times) // 1) - 1)]
            high = found[name]["to"] or float("inf")
            assert found[name]["from"] <= exact < high, name


def test_every_number_is_what_counting_by_hand_gives() -> None:
    dice = random.Random(7)
    worlds = [lives.world("one"), lives.world("other")]
    for _ in range(LIVES):
        lives.live(dice.choice(worlds), dice)
    sweeping.sweep()
    for world in worlds:
        boss = UserFactory()
        add_member(world.team, boss, Role.MANAGER)
        assert_all(as_user(boss), world)
    assert_all_happened(worlds)


def assert_all_happened(worlds: list[lives.World]) -> None:
    """The lives were full enough to tell right from wrong."""
    rows = [row for world in worlds for row in brute_force.of(world.team)]
    met = brute_force.requests(rows).counts
    load = Counter[str]()
    for world in worlds:
        for person in (*world.people, User.objects.get(email=lives.GUEST)):
            load += brute_force.load(person, rows).counts
    fates = {"pending", "approved", "modified", "rejected", "timedOut", "cancelled", "bySilence"}
    assert set(met) >= fates | {"ruleApproved", "ruleRejected", "completed", "failed"}
    assert set(load) >= {"asked", "viewed", "answered", "refused", "forOthers", "modified"}


def assert_all(caller: Caller, world: lives.World) -> None:
    rows = brute_force.of(world.team)
    times = {"timeToFirstView": "view", "timeToDecision": "verdict"}
    for group_by, of in GROUPINGS.items():
        found = get(caller, groupBy=group_by)
        assert_same(found["total"], brute_force.requests(rows), **times)
        keys = {item["key"] for item in found["items"]}
        assert keys >= {of(row) for row in rows}
        for item in found["items"]:
            ours = [row for row in rows if of(row) == item["key"]]
            assert_same(item["requests"], brute_force.requests(ours), **times)
    one, kind = world.agents[0], "refund"
    narrow = get(caller, groupBy="actionType", agentId=one.pk, actionType=kind)
    ours = [row for row in rows if row.agent_id == one.pk and row.action_type == kind]
    assert_same(narrow["total"], brute_force.requests(ours), **times)
    people = get(caller, groupBy="approver")
    for item in people["items"]:
        person = User.objects.get(pk=item["key"])
        wanted = brute_force.load(person, rows)
        assert_same(item["load"], wanted, timeToAnswer="answer")
    for name, number in people["load"].items():
        if isinstance(number, int):
            assert number == sum(item["load"][name] for item in people["items"])


GROUPINGS: dict[str, Any] = {
    "day": lambda row: row.created_at.astimezone(dt.UTC).date().isoformat(),
    "agent": lambda row: str(row.agent_id),
    "actionType": lambda row: row.action_type,
    "channel": lambda row: row.responded_via,
}


@pytest.fixture
def counted(agent: Agent) -> Workflow:
    workflow = make_workflow(agent)
    sweeping.sweep()
    return workflow


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"groupBy": "team"}, "?groupBy"),
        ({"from": "yesterday"}, "?from"),
        ({"from": "2026-13-01"}, "?from"),
        ({"to": "20261123"}, "?to"),
        ({"from": "2026-11-23", "to": "2026-11-22"}, "?from"),
        ({"from": "2025-11-22", "to": "2026-11-23"}, "?from"),
        ({"agentId": "7"}, "?agentId"),
        ({"groupBy": "approver", "actionType": "x"}, "?groupBy"),
        ({"status": "PENDING"}, "?status"),
    ],
)
def test_what_makes_no_sense_is_refused(ann: Caller, params: dict[str, str], pointer: str) -> None:
    answer = ann.get(PATH, params)
    assert code(answer) == (400, "validation")
    assert places(answer) == [pointer]


def test_the_usual_period_is_thirty_days_up_to_today(ann: Caller, counted: Workflow) -> None:
    found = get(ann)
    today = timezone.now().date()
    assert (found["from"], found["to"]) == (str(today - dt.timedelta(days=29)), str(today))
    assert [item["key"] for item in found["items"]][-1] == str(today)
    assert len(found["items"]) == 30
    assert found["total"]["requests"] == found["items"][-1]["requests"]["requests"] == 1


def test_the_ends_of_time_are_no_hindrance(ann: Caller) -> None:
    assert get(ann, to="0001-01-02")["from"] == "0001-01-01"
    assert get(ann, from_="9999-12-30", to="9999-12-31")["total"]["requests"] == 0


def test_nothing_is_a_share_of_nothing(ann: Caller) -> None:
    found = get(ann)
    assert found["total"]["approvalRate"] is None
    assert found["total"]["timeToDecision"]["p50"] is None
    assert found["asOf"] is None


def test_strangers_count_nothing(stranger: User, counted: Workflow) -> None:
    caller = as_user(stranger)
    for group_by in ("day", "agent", "actionType", "channel", "approver"):
        found = get(caller, groupBy=group_by)
        assert found["total"]["requests"] == found["load"]["asked"] == 0
    assert get(caller, agentId=counted.agent_id, groupBy="agent")["items"] == []
    answer = caller.get(PATH, {"teamId": str(counted.team_id)})
    assert code(answer) == (404, "not-found")


def test_agents_see_what_they_asked_themselves(bot: Caller, team: Team, counted: Workflow) -> None:
    other = Agent.objects.create(team=team, name="other-bot")
    assert get(bot)["total"]["requests"] == 1
    assert get(bot)["load"] is None
    assert get(as_agent(other))["total"]["requests"] == 0
    assert get(as_agent(other), agentId=counted.agent_id)["total"]["requests"] == 0
    assert code(bot.get(PATH, {"groupBy": "approver"})) == (403, "forbidden")
    assert code(as_agent(other, "create").get(PATH)) == (403, "forbidden")


def test_single_people_are_for_managers_and_for_themselves(
    approver: User, colleague: User, manager: User, viewer: User, counted: Workflow
) -> None:
    def names(user: User) -> set[str]:
        return {item["name"] for item in get(as_user(user), groupBy="approver")["items"]}

    assert names(manager) >= {"Ann Approver", "Carl Colleague"}
    assert names(approver) == {"Ann Approver"}
    assert names(viewer) == set()
    loads = {get(as_user(user))["load"]["asked"] for user in (approver, manager, viewer)}
    assert len(loads) == 1


def test_in_several_teams_each_can_be_had_alone(
    approver: User, team: Team, counted: Workflow
) -> None:
    far = Team.objects.create(name="Far", slug="far")
    add_member(far, approver, Role.MANAGER)
    make_workflow(Agent.objects.create(team=far, name="far-bot"))
    sweeping.mark_all()  # a sweep reads what has been committed, and this has not
    sweeping.sweep()
    caller = as_user(approver)
    assert get(caller)["total"]["requests"] == 2
    assert get(caller, teamId=far.pk)["total"]["requests"] == 1
    people = get(caller, groupBy="approver", teamId=team.pk)["items"]
    assert [item["name"] for item in people] == ["Ann Approver"]
