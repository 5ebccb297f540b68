"""People without a place in the team who are asked all the same, where the team allows it.

A guest is named in the frozen policy of each request that asks them (`guests`: id → address), is
reached by mail only, and decides by its link or by answering it, as far as links may decide.
"""

from collections.abc import Sequence
from uuid import UUID

from deliveries.channels import CHANNELS
from deliveries.routing import Recipient
from hitl.accounts import selectors as accounts
from hitl.accounts import services as account_services
from hitl.accounts.models import ContactPoint, Team, User
from hitl.lib.errors import InvalidInput
from workflows.models import Risk, Workflow

STRANGER = "You are not a member of the team this request belongs to."
CHANNEL = "email"
BY_LINK, BY_REPLY = "link", "mail-reply"  # strengths of whoever shows no more than the mailbox
# What a mailbox may decide; high risk always asks to log in.
_RISKS: dict[str, frozenset[str]] = {
    Team.LinkDecisions.OFF: frozenset(),
    Team.LinkDecisions.LOW: frozenset({Risk.LOW}),
    Team.LinkDecisions.MEDIUM: frozenset({Risk.LOW, Risk.MEDIUM}),
}


def risks(team: Team) -> frozenset[str]:
    """Up to which risk a personal link, or an answer by mail, decides in this team."""
    return _RISKS.get(team.link_decisions, frozenset())


def invite(team: Team, email: str, risk: str) -> User:
    """The guest with that address; an account without password where nobody has it.

    The caller has looked among the approvers of the team. Raises InvalidInput saying why not.
    """
    if not team.allow_guests:
        raise InvalidInput(f"{email} is no approver of the team {team.name}: add the person first.")
    if risk not in risks(team):
        raise InvalidInput(
            f"{email} is no member of the team {team.name}, and a guest may not decide at {risk} "
            "risk: name an approver of the team."
        )
    if not CHANNELS[CHANNEL].is_on():
        raise InvalidInput(f"{email} is a guest, and this server sends no mail.")
    person = accounts.by_address(email)
    if person is None:
        return account_services.make_guest(email)
    if not person.is_active:
        raise InvalidInput(f"The account of {email} is closed: name somebody else.")
    member = accounts.membership(team.pk, person.pk)
    if member:
        raise InvalidInput(f"{email} is {member.role} in the team {team.name} and may only look.")
    if person.contact_points.filter(
        kind=CHANNEL, address=email.lower(), use=ContactPoint.Use.OFF
    ).exists():
        raise InvalidInput(f"{email} wants no mails from this server: name somebody else.")
    return person


def addresses(workflow: Workflow) -> dict[str, str]:
    """The guests of a request: id and address."""
    found: dict[str, str] = workflow.policy.get("guests", {})
    return found


def people(workflow: Workflow) -> list[User]:
    """The guests of a request, by address."""
    named = addresses(workflow)
    return list(User.objects.filter(pk__in=named).order_by("email")) if named else []


def recipients(workflow: Workflow, asked: Sequence[User]) -> list[Recipient]:
    """Where the guests among those who are asked are written to."""
    named = addresses(workflow)
    guests = [person for person in asked if str(person.pk) in named]
    return [Recipient(person, CHANNEL, named[str(person.pk)]) for person in guests]


def why_void(workflow: Workflow, user_id: UUID) -> str:
    """Why somebody who is no member is nobody to this request; "" for a guest of it."""
    active = User.objects.filter(pk=user_id, is_active=True).exists()
    if str(user_id) not in addresses(workflow) or not active:
        return STRANGER
    if not workflow.team.allow_guests:
        return f"The team {workflow.team.name} takes no answers from guests any more."
    return ""


def hindrance(workflow: Workflow, user_id: UUID) -> str:
    """Why somebody who is no member may not decide; "" for a guest who may, by the mailbox."""
    if reason := why_void(workflow, user_id):
        return reason
    if workflow.risk not in risks(workflow.team):
        return f"The link is not enough to decide at {workflow.risk} risk, and guests have no more."
    return ""
