"""`manage.py verify`: says which event, for people and for programs, and disturbs nobody."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from events.proof import checkpoints, verification
from events.proof.rows import Part
from hitl.accounts.models import Agent, User
from tests.events.proof.tampering import cover, db_id, small_life, tamper, verify
from tests.events.test_services import note
from tests.racing import ROUNDS, race
from tests.workflows.factories import make_workflow
from workflows.models import Workflow
from workflows.selectors import standings

TYPE = "UPDATE events_event SET type = 'x' WHERE workflow_id = %s AND seq = 2"


@pytest.fixture
def workflow(agent: Agent, approver: User) -> Workflow:
    return small_life(agent, approver)


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    out = io.StringIO()
    try:
        call_command("verify", *arguments, stdout=out, no_color=True)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.django_db
def test_a_sound_log_ends_with_0(workflow: Workflow) -> None:
    code, said = run()
    assert (code, said.splitlines()) == (
        0,
        [
            "Nothing has been changed.",
            "Looked at 5 events of 2 workflows, 3 checkpoints.",
            "Compared with no checkpoints kept elsewhere: see docs/proof.md.",
        ],
    )


@pytest.mark.django_db
def test_a_changed_event_ends_with_1_and_is_named_first(workflow: Workflow) -> None:
    tamper(TYPE, db_id(workflow.pk))
    code, said = run()
    assert code == 1
    first, second, *_ = said.splitlines()
    assert first == (f"The log has been tampered with, first at event 2 of workflow {workflow.pk}.")
    assert second == (
        f"  event-changed: Event 2 of workflow {workflow.pk} was changed: "
        "what it says does not give its hash."
    )


@pytest.mark.django_db
def test_programs_get_every_finding(workflow: Workflow) -> None:
    tamper(TYPE, db_id(workflow.pk))
    code, said = run("--json")
    told = json.loads(said)
    assert (code, told["ok"], told["kinds"]) == (1, False, {"event-changed": 1})
    assert told["first"]["workflow_id"] == str(workflow.pk)
    assert told["first"]["seq"] == 2


@pytest.mark.django_db
def test_one_workflow_can_be_looked_at_alone(workflow: Workflow, agent: Agent) -> None:
    other = make_workflow(agent)
    cover(other)
    tamper(TYPE.replace("seq = 2", "seq = 1"), db_id(other.pk))
    assert run("--workflow", str(workflow.pk))[0] == 0
    code, said = run("--workflow", str(other.pk))
    assert code == 1
    assert f"event 1 of workflow {other.pk}" in said


@pytest.mark.django_db
def test_heads_that_speak_of_the_one_workflow_are_checked(workflow: Workflow) -> None:
    tamper("UPDATE events_checkpointhead SET places = hash WHERE checkpoint_id = 2")
    assert run("--workflow", str(workflow.pk))[0] == 1


@pytest.mark.django_db
def test_what_moved_lately_can_be_looked_at_alone(workflow: Workflow) -> None:
    tamper(TYPE, db_id(workflow.pk))
    assert run("--since", "2020-01-01")[0] == 1
    assert run("--since", "2999-01-01")[0] == 0


@pytest.mark.django_db
def test_the_servers_own_file_is_looked_at_unasked(
    workflow: Workflow, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "kept.jsonl"
    settings.CHECKPOINT_FILE = str(path)
    assert "Compared with no checkpoints" in run()[1]
    path.write_text("torn\n")
    said = run()[1]
    assert f"Compared with 0 checkpoints in {path}." in said
    assert "Lines of it that cannot be read: 1." in said


@pytest.mark.django_db
def test_a_file_that_is_not_there_is_an_error(workflow: Workflow) -> None:
    with pytest.raises(CommandError, match=r"/nowhere cannot be read: No such file"):
        run("--anchors", "/nowhere")


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_running_traffic_raises_no_false_alarm(agent: Agent) -> None:
    """Events, heads, rows and checkpoints are seen as of one moment."""
    rows = [make_workflow(agent) for _ in range(3)]

    def traffic() -> None:
        for workflow in rows:
            with transaction.atomic():
                note(workflow)
            checkpoints.sweep()

    for _ in range(ROUNDS):
        _, *looks = race(traffic, verify, verify)
        assert [found.kept for found in looks] == [[], []]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_several_processes_find_what_one_finds(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "PART", 2)
    rows = [make_workflow(agent) for _ in range(6)]
    checkpoints.sweep()
    for workflow in rows[::2]:
        tamper("UPDATE events_event SET type = 'x' WHERE workflow_id = %s", workflow.pk)
    alone = verification.verify(standings=standings, processes=1)
    together = verification.verify(standings=standings, processes=2)
    assert together == alone
    assert alone.kinds["event-changed"] == 3


@pytest.mark.django_db
def test_parts_leave_no_workflow_out(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        cover(make_workflow(agent))
    whole = verify()
    monkeypatch.setattr(verification, "PART", 1)
    assert verify() == whole
    assert whole.workflows == 5


@pytest.mark.django_db(transaction=True)
def test_verifying_writes_nothing_and_leaves_no_transaction(agent: Agent) -> None:
    make_workflow(agent)
    checkpoints.sweep()
    verify(part=Part())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state LIKE 'idle in tr%%'"
            )
            assert cursor.fetchone() == (0,)
    with transaction.atomic():
        make_workflow(agent)
