"""A believable small company for the pictures: two teams, four people, four agents, a busy week.

Everything goes through the services, under a clock that is set back, so that the log is a real one.
Run as a program it fills the empty database of HITL_DATA.
"""

import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

import django
import time_machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  # needs the app registry

from deliveries import services as deliveries  # noqa: E402
from deliveries.channels.base import ChannelError, Receipt  # noqa: E402
from deliveries.models import Delivery  # noqa: E402
from events.types import Source  # noqa: E402
from hitl.accounts.models import Agent, Group, Role, Team, User  # noqa: E402
from hitl.accounts.services import add_member  # noqa: E402
from hitl.samples import ACTION_TYPES  # noqa: E402
from workflows import executions, policy_books, services  # noqa: E402
from workflows.inputs import NewWorkflow  # noqa: E402
from workflows.models import ActionType, Risk, Verdict, Workflow  # noqa: E402

PASSWORD = "correct-horse-battery"  # noqa: S105 - of people who do not exist
NOW = dt.datetime.now(dt.UTC)

REFUND = "payments.refund"
DEPLOY = "deploy.production"
MAIL = "email.send"


def main() -> None:
    """Fill the database."""
    call_command("migrate", verbosity=0)
    payments, platform = _team("Payments"), _team("Platform")
    maya = _person("Maya Lindqvist", payments, platform, is_staff=True, is_superuser=True)
    tomas = _person("Tomás Ferreira", payments, platform)
    priya = _person("Priya Raman", payments)
    noah = _person("Noah Becker", platform)
    add_member(payments, maya, Role.MANAGER)
    add_member(platform, maya, Role.MANAGER)
    _policies(payments, maya, tomas, priya)
    bots = {
        "refund-bot": _agent("refund-bot", payments),
        "ledger-agent": _agent("ledger-agent", payments),
        "support-copilot": _agent("support-copilot", payments),
        "release-captain": _agent("release-captain", platform),
    }
    _past(bots, maya, tomas, priya, noah)
    _present(bots, priya)


def _team(name: str) -> Team:
    team = Team.objects.create(name=name, slug=name.lower())
    for values in ACTION_TYPES:
        ActionType.objects.create(team=team, **values)
    ActionType.objects.create(team=team, name="ledger.write_off", risk=Risk.HIGH)
    ActionType.objects.create(team=team, name="database.migrate", risk=Risk.HIGH)
    ActionType.objects.create(team=team, name="flags.update", risk=Risk.LOW)
    return team


def _person(name: str, *teams: Team, **extra: Any) -> User:
    address = f"{name.split()[0].lower().replace('á', 'a')}@northwind.example"
    user = User.objects.create_user(address, PASSWORD, name=name, **extra)
    for team in teams:
        add_member(team, user, Role.APPROVER)
    return user


def _policies(team: Team, manager: User, cfo: User, colleague: User) -> None:
    """What the manager has built in the dashboard."""
    finance = Group.objects.create(team=team, name="Finance", slug="finance")
    finance.members.set([manager, cfo, colleague])
    document = {"name": "Support mail", "stages": [_stage("Any approver", {"team": "approvers"})]}
    mail = policy_books.save_policy(team, document, by=manager, note="As agreed in November")
    ActionType.objects.filter(team=team, name=MAIL).update(policy=mail)
    again = {**document, "timeoutSeconds": 86_400, "stages": [
        _stage("Any approver", {"team": "approvers"}) | {"reminders": [{"after": 3600}]}
    ]}  # fmt: skip
    policy_books.save_policy(team, again, by=manager, policy_id=mail.pk, note="Remind after 1 h")
    rule = {
        "name": "Mail to customers", "when": 'action_type == "email.send"', "then": "ask",
        "policy": "Support mail",
    }  # fmt: skip
    limit = {
        "name": "Beyond our limit", "then": "deny",
        "when": 'action_type == "payments.refund" && data.amount > 100000',
        "because": "Refunds beyond 100,000 are made by the bank.",
    }  # fmt: skip
    policy_books.save_rules(team, [limit, rule], by=manager)


def _stage(name: str, who: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "need": {"who": who, "count": 1}}


def _agent(name: str, team: Team) -> Agent:
    return Agent.objects.create(name=name, team=team)


def _ask(agent: Agent, ago: dt.timedelta, **values: Any) -> Workflow:
    """A request made some time ago, its mails sent."""
    with time_machine.travel(NOW - ago, tick=True):
        workflow = services.create(agent, NewWorkflow(**values))
        for row in Delivery.objects.filter(workflow=workflow):
            claimed = deliveries.claim(row.pk)
            if claimed:
                deliveries.settle_success(claimed, Receipt({"messageId": f"<{row.pk}@mail>"}))
    return workflow


def _refund(order: str, customer: str, amount: float, note: str) -> dict[str, Any]:
    return {
        "orderId": order, "customer": customer, "amount": amount, "currency": "EUR", "note": note
    }  # fmt: skip


def _decide(
    workflow: Workflow, user: User, verdict: Verdict, after: dt.timedelta, **extra: Any
) -> None:
    with time_machine.travel(workflow.created_at + after, tick=True):
        services.mark_viewed(workflow.pk, user=user, source=Source.DASHBOARD)
    with time_machine.travel(workflow.created_at + after + dt.timedelta(seconds=40), tick=True):
        services.decide(
            workflow.pk,
            user=user,
            verdict=verdict,
            fingerprint=workflow.fingerprint,
            source=extra.pop("source", Source.DASHBOARD),
            **extra,
        )


def _run(workflow: Workflow, result: Any = None, error: dict[str, Any] | None = None) -> None:
    """The agent carries it out a minute after the answer."""
    workflow.refresh_from_db()
    began = (workflow.responded_at or NOW) + dt.timedelta(seconds=3)
    with time_machine.travel(began, tick=True):
        _, attempt = executions.start(workflow.pk, agent=workflow.agent, executor="worker-7")
    with time_machine.travel(began + dt.timedelta(seconds=5), tick=True):
        report: dict[str, Any] = {"agent": workflow.agent, "attempt": attempt.number}
        if error:
            executions.fail(workflow.pk, error=error, **report)
        else:
            executions.complete(workflow.pk, result=result, **report)


def _past(bots: dict[str, Agent], maya: User, tomas: User, priya: User, noah: User) -> None:
    minutes = dt.timedelta(minutes=1)
    data = _refund("A-0987", "Grace Okafor", 312.4, "The whole order is refunded. Sorry, Grace!")
    done = _ask(
        bots["refund-bot"], dt.timedelta(hours=3), name="Refund order A-0987 in full",
        action_type=REFUND, action_data=data,
        reason="Ordered twice by mistake; the second parcel came back unopened this morning.",
    )  # fmt: skip
    edited = {**data, "amount": 287.4, "note": "The order is refunded, less 25 EUR shipping."}
    _decide(
        done, priya, Verdict.MODIFIED, 12 * minutes, response_data=edited,
        comment="Shipping stays with us, see the policy of October.",
    )  # fmt: skip
    _run(done, {"refundId": "re_3QK9dM2e", "status": "succeeded", "amount": 287.4})

    gone = _ask(
        bots["release-captain"], dt.timedelta(hours=5), name="Deploy search 5.1.0 to production",
        action_type=DEPLOY, action_data={"service": "search", "version": "5.1.0", "percent": 100},
    )  # fmt: skip
    _decide(
        gone, noah, Verdict.REJECTED, 4 * minutes,
        comment="The canary still shows 2 % more timeouts than 5.0.9. Wait for the fix.",
    )  # fmt: skip
    ok = _ask(
        bots["release-captain"], dt.timedelta(hours=26), name="Deploy checkout 2.13.4",
        action_type=DEPLOY, action_data={"service": "checkout", "version": "2.13.4"},
    )  # fmt: skip
    _decide(ok, maya, Verdict.APPROVED, 2 * minutes)
    _run(ok, {"pods": 24, "seconds": 312})

    late = _ask(
        bots["support-copilot"], dt.timedelta(hours=30), name="Offer a voucher to all waiting",
        action_type="flags.update", action_data={"flag": "voucher", "on": True},
        timeout_seconds=3600,
    )  # fmt: skip
    with time_machine.travel(late.expires_at + minutes, tick=True):
        services.time_out(late.pk)
    back = _ask(
        bots["refund-bot"], dt.timedelta(hours=47), name="Refund order A-0911",
        action_type=REFUND, action_data=_refund("A-0911", "Ivo Petrov", 18.0, "Sorry!"),
    )  # fmt: skip
    with time_machine.travel(back.created_at + 9 * minutes, tick=True):
        services.cancel(back.pk, agent=bots["refund-bot"], reason="The customer changed his mind.")
    broken = _ask(
        bots["refund-bot"], dt.timedelta(hours=50), name="Refund order A-0902",
        action_type=REFUND, action_data=_refund("A-0902", "Lena Vogt", 64.9, "On its way."),
    )  # fmt: skip
    _decide(broken, tomas, Verdict.APPROVED, 30 * minutes, source=Source.EMAIL)
    _run(broken, error={"code": "card-expired", "message": "The card has expired; no refund made."})
    _unknown(bots["release-captain"], maya)


def _unknown(agent: Agent, user: User) -> None:
    lost = _ask(
        agent, dt.timedelta(hours=8), name="Move the orders table to the new cluster",
        action_type="database.migrate",
        action_data={"table": "orders", "rows": 18_204_113, "from": "pg-old", "to": "pg-2026"},
    )  # fmt: skip
    _decide(lost, user, Verdict.APPROVED, dt.timedelta(minutes=6))
    lost.refresh_from_db()
    began = (lost.responded_at or NOW) + dt.timedelta(seconds=2)
    with time_machine.travel(began, tick=True):
        _, attempt = executions.start(lost.pk, agent=agent, executor="migrator-1")
    with time_machine.travel(began + dt.timedelta(hours=1), tick=True):
        executions.lapse(attempt.pk)


def _present(bots: dict[str, Agent], priya: User) -> None:
    _ask(
        bots["refund-bot"], dt.timedelta(minutes=34), name="Refund order A-1009",
        action_type=REFUND, timeout_seconds=42 * 60,
        reason="The parcel arrived broken; the customer sent two pictures of it. Her earlier order "
        "in March was fine, and nothing suggests abuse.",
        action_data=_refund(
            "A-1009", "Ada Marsh", 129.9,
            "We are sorry about the broken lamp. The money is on its way and should be with you "
            "within three days.",
        ),
    )  # fmt: skip
    deploy = _ask(
        bots["release-captain"], dt.timedelta(minutes=3),
        name="Deploy checkout 2.14.0 to production",
        action_type=DEPLOY, timeout_seconds=2 * 3600,
        reason="All 1,284 checks are green and the error budget of this month is untouched.",
        action_data={
            "service": "checkout", "version": "2.14.0", "commit": "9f2c1e7",
            "strategy": "rolling", "regions": ["eu-west", "us-east"],
            "changes": [
                {"id": "CH-482", "title": "Show delivery dates in the basket"},
                {"id": "CH-490", "title": "Retry card payments once"},
            ],
        },
    )  # fmt: skip
    row = Delivery.objects.filter(workflow=deploy).order_by("pk").last()
    if row:
        Delivery.objects.filter(pk=row.pk).update(
            status=Delivery.Status.FAILED, attempts=6, sent_at=None,
            last_error=str(ChannelError("The mail server answered 550: mailbox unavailable.")),
        )  # fmt: skip
    _ask(
        bots["ledger-agent"], dt.timedelta(minutes=51), name="Write off 14 unpaid invoices of 2023",
        action_type="ledger.write_off", timeout_seconds=3600, approvers=["priya@northwind.example"],
        action_data={"account": "4001", "invoices": 14, "total": 3120.55, "currency": "EUR"},
    )  # fmt: skip
    _ask(
        bots["support-copilot"], dt.timedelta(minutes=12), name="Answer Jordan Lee about the delay",
        action_type=MAIL, timeout_seconds=8 * 3600,
        reason="Third question about this order, and the carrier has confirmed a date.",
        action_data={
            "to": "jordan.lee@example.com",
            "subject": "Your order A-1017 arrives on Thursday",
            "body": "Dear Jordan,\n\nthe carrier has confirmed Thursday, before noon. As an "
            "apology we have taken the shipping costs off your bill.\n\nYour support team",
        },
    )  # fmt: skip
    _ask(
        bots["support-copilot"], dt.timedelta(minutes=2),
        name="Send the supplier his new bank data",
        action_type=MAIL, timeout_seconds=5 * 3600,
        reason="URGENT. Already approved by the CFO, please just confirm.",
        action_data={
            "to": "billing@paypa1-suppliers.example",
            "subject": "New b\u0430nk acc\u043eunt for \u202einvoice 77\u202c",
            "body": "Please pay to the account in the attachment from today on.",
        },
    )  # fmt: skip
    _ask(
        bots["release-captain"], dt.timedelta(minutes=26), name="Turn the new search on for 5 %",
        action_type="flags.update", timeout_seconds=24 * 3600,
        action_data={"flag": "search-v2", "percent": 5, "audience": "signed-in"},
    )  # fmt: skip


if __name__ == "__main__":
    main()
