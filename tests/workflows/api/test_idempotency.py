"""`Idempotency-Key`: what is repeated, what is refused, and who wins when all come at once."""

import datetime as dt
import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from deliveries.models import Delivery
from hitl.accounts.models import Agent
from hitl.accounts.services import add_member, issue_agent_token, issue_key
from hitl.lib.errors import InvalidInput
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory
from tests.workflows.api.callers import REQUEST, WORKFLOWS, Caller, as_agent, with_token
from workflows import idempotency, tasks
from workflows.idempotency import Answer, InProgress
from workflows.models import IdempotencyKey, Workflow

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


def post(caller: Caller, body: Any = REQUEST, key: str = KEY, path: str = WORKFLOWS) -> Any:
    return caller.post(path, body, Idempotency_Key=key)


def is_replay(answer: Any) -> bool:
    return bool(answer.headers.get("Idempotency-Replayed") == "true")


class TestHeader:
    @pytest.mark.parametrize(
        ("header", "key"),
        [
            (KEY, KEY),
            (f'"{KEY}"', KEY),
            (f"  {KEY}\t", KEY),
            ('"with blank, comma"', "with blank, comma"),
            (r'"quote \" and \\"', 'quote " and \\'),
            ("!#$%&'*+-./:;<=>?@[]^_`{|}~", "!#$%&'*+-./:;<=>?@[]^_`{|}~"),
            ("a" * 255, "a" * 255),
        ],
    )
    def test_quoted_and_bare(self, header: str, key: str) -> None:
        assert idempotency.parse(header) == key

    @pytest.mark.parametrize(
        "header",
        ["", " ", '""', '"', '"a', 'a"', '"a"b', '"a";p=1', "a b", "a,b", '"a","b"', "a\\b",
         '"a\\b"', "é", '"é"', "a\tb", "a\x7f", "a\n", "a" * 256, '"' + "a" * 256 + '"'],
    )  # fmt: skip
    def test_malformed(self, header: str) -> None:
        with pytest.raises(InvalidInput, match="Idempotency-Key"):
            idempotency.parse(header)

    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
    def test_every_printable_key_can_be_quoted(self, key: str) -> None:
        quoted = key.replace("\\", r"\\").replace('"', r"\"")
        assert idempotency.parse(f'"{quoted}"') == key

    def test_malformed_header_is_a_problem(self, bot: Caller) -> None:
        answer = post(bot, key='"open')
        assert (answer.status_code, answer.json()["code"]) == (400, "validation")
        assert not Workflow.objects.exists()


class TestRepeating:
    def test_gives_the_first_answer_byte_for_byte(self, bot: Caller) -> None:
        first, again = post(bot), post(bot)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert first.headers["Location"] == again.headers["Location"]
        assert (is_replay(first), is_replay(again)) == (False, True)
        assert Workflow.objects.count() == Delivery.objects.count() == 1

    def test_order_of_members_and_blanks_do_not_matter(self, bot: Caller) -> None:
        post(bot)
        other = dict(reversed(REQUEST.items()))
        assert is_replay(post(bot, other))
        assert is_replay(post(bot, key=f'"{KEY}"'))

    def test_knows_the_key_on_both_paths(self, bot: Caller) -> None:
        first = post(bot)
        again = post(bot, path="/workflows/create")
        assert is_replay(again)
        assert again.content == first.content

    def test_another_body_is_refused(self, bot: Caller) -> None:
        first = post(bot)
        answer = post(bot, REQUEST | {"name": "Another"})
        assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")
        assert Workflow.objects.get().pk.hex == first.json()["workflowId"].replace("-", "")

    def test_gives_the_first_answer_whatever_has_happened_since(self, bot: Caller) -> None:
        first = post(bot)
        bot.post(f"{first.headers['Location']}/cancel")
        assert post(bot).json()["status"] == "PENDING"

    def test_refused_input_is_not_stored(self, bot: Caller) -> None:
        bad = REQUEST | {"approverEmail": "nobody@example.com"}
        for body in (bad, REQUEST | {"name": 5}, bad):
            assert post(bot, body).status_code == 400
        assert not IdempotencyKey.objects.exists()
        assert post(bot).status_code == 201

    def test_a_crash_stores_nothing(self, bot: Caller, monkeypatch: Any) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("workflows.asking.messages.approval", lambda *_, **__: 1 / 0)
            assert post(bot).status_code == 500
        assert not Workflow.objects.exists()
        assert not IdempotencyKey.objects.exists()
        again = post(bot)
        assert (again.status_code, is_replay(again)) == (201, False)

    def test_an_answer_lost_after_the_commit_is_given_again(
        self, bot: Caller, monkeypatch: Any
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("workflows.api.views.reverse", lambda *_, **__: 1 / 0)
            assert post(bot).status_code == 500
        kept = Workflow.objects.get()
        again = post(bot)
        assert (again.status_code, is_replay(again)) == (201, True)
        assert again.json()["workflowId"] == str(kept.pk)
        assert Delivery.objects.count() == 1

    def test_without_a_key_every_request_counts(self, bot: Caller) -> None:
        assert bot.create()["workflowId"] != bot.create()["workflowId"]


class TestOwners:
    def test_keys_of_others_are_others(self, bot: Caller, agent: Agent) -> None:
        far = TeamFactory()
        far_agent = AgentFactory(team=far)
        add_member(far, UserFactory())
        callers = [bot, as_agent(AgentFactory(team=agent.team)), as_agent(far_agent)]
        answers = [post(caller) for caller in callers]
        assert [answer.status_code for answer in answers] == [201, 201, 201]
        assert not any(map(is_replay, answers))
        assert len({answer.json()["workflowId"] for answer in answers}) == 3

    def test_a_new_key_of_the_same_agent_repeats(self, bot: Caller, agent: Agent) -> None:
        """Rotation of the API key between request and repetition must not double the request."""
        first = post(bot)
        again = post(with_token(issue_key(agent)[1]))
        assert is_replay(again)
        assert again.content == first.content


class TestSweep:
    def test_forgets_after_two_days_but_never_while_open(self, bot: Caller) -> None:
        first, second = post(bot), post(bot, key="other")
        bot.post(f"{second.headers['Location']}/cancel")
        old = IdempotencyKey.objects.first()
        assert old is not None
        IdempotencyKey.objects.update(created_at=old.created_at - dt.timedelta(hours=49))
        tasks.sweep_idempotency_keys()
        assert IdempotencyKey.objects.get().workflow_id is not None
        assert is_replay(post(bot))
        assert first.status_code == 201
        assert not is_replay(post(bot, key="other"))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestRaces:
    @pytest.fixture(autouse=True)
    def _real_database(self) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("needs PostgreSQL")

    def test_fifty_at_once_create_one(self, agent: Agent) -> None:
        token, answers = issue_agent_token(agent), []
        barrier = threading.Barrier(50)

        def ask() -> None:
            barrier.wait()
            answers.append(post(with_token(token)))
            connections.close_all()

        _together([ask] * 50)
        kinds = Counter((answer.status_code, is_replay(answer)) for answer in answers)
        assert kinds[201, False] == 1
        assert kinds[201, False] + kinds[201, True] + kinds[409, False] == 50
        assert Workflow.objects.count() == Delivery.objects.count() == 1
        ids = {answer.json().get("workflowId") for answer in answers if answer.status_code == 201}
        assert ids == {str(Workflow.objects.get().pk)}

    def test_the_second_waits_for_the_first(self, agent: Agent) -> None:
        claimed, answers = threading.Event(), []

        def first() -> None:
            def work() -> Answer:
                claimed.set()
                time.sleep(0.5)
                return Answer(201, {"n": 1})

            answers.append(idempotency.run(agent, "create", KEY, {}, work))
            connections.close_all()

        def second() -> None:
            claimed.wait()
            answers.append(idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {"n": 2})))
            connections.close_all()

        _together([first, second])
        assert [answer.body for answer in answers] == [{"n": 1}, {"n": 1}]
        # Which of them is back first is nobody's promise.
        assert sorted(answer.replayed for answer in answers) == [False, True]

    def test_waits_two_seconds_and_no_longer(self, agent: Agent) -> None:
        claimed, over, said = threading.Event(), threading.Event(), []

        def first() -> None:
            def work() -> Answer:
                claimed.set()
                over.wait(10)
                return Answer(201, {})

            idempotency.run(agent, "create", KEY, {}, work)
            connections.close_all()

        def second() -> None:
            claimed.wait()
            began = time.monotonic()
            try:
                idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {}))
            except InProgress as error:
                said.append((error.status, time.monotonic() - began))
            over.set()
            connections.close_all()

        _together([first, second])
        assert said[0][0] == 409
        assert 1.9 < said[0][1] < 4

    def test_when_the_first_fails_the_second_does_the_work(self, agent: Agent) -> None:
        claimed, answers = threading.Event(), []

        def first() -> None:
            def work() -> Answer:
                claimed.set()
                time.sleep(0.3)
                raise InvalidInput("refused")

            with pytest.raises(InvalidInput):
                idempotency.run(agent, "create", KEY, {}, work)
            connections.close_all()

        def second() -> None:
            claimed.wait()
            answers.append(idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {"n": 2})))
            connections.close_all()

        _together([first, second])
        assert [(answer.body, answer.replayed) for answer in answers] == [({"n": 2}, False)]

    def test_the_limit_ends_with_the_transaction(self, agent: Agent) -> None:
        idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {}))
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone()[0] == "0"

    def test_other_database_errors_are_not_taken_for_it(
        self, agent: Agent, monkeypatch: Any
    ) -> None:
        def broken(**_: Any) -> None:
            raise OperationalError("the connection is gone")

        monkeypatch.setattr(IdempotencyKey.objects, "create", broken)
        with pytest.raises(OperationalError):
            idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {}))


def test_is_refused_inside_another_transaction(agent: Agent) -> None:
    """The answer may be given only when the row is on disk."""
    if connection.features.uses_savepoints:
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
            idempotency.run(agent, "create", KEY, {}, lambda: Answer(201, {}))


def _together(jobs: list[Any]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
