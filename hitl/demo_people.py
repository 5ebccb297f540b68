"""Addresses in the sandbox for the people of a first start, and a colleague for the admin.

Only where the sandbox plays the providers and nobody named the admin: whoever did wants to be
written to, and no made-up approver. None of the addresses can be anybody's outside.
"""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.utils import timezone

from deliveries.sandbox import slack, sms, telegram
from hitl.accounts.models import ContactPoint, Group, Role, Team, User
from hitl.accounts.services import add_member
from workflows import policy_books

NAME, EMAIL = "Robin Chen", "robin@example.com"
Kind, Use = ContactPoint.Kind, ContactPoint.Use

MAKERS: dict[str, tuple[str, Callable[[User], str]]] = {
    slack.CHANNEL: (Kind.SLACK, slack.address),
    sms.CHANNEL: (Kind.PHONE, sms.address),
    telegram.CHANNEL: (Kind.TELEGRAM, telegram.address),
}
# Between the two of them every channel has something to show at once, and what steps in when
# others fail can be tried as well. Texts hold personal links, which open for the admin alone.
ADMIN = {"slack": Use.ALWAYS, "sms": Use.ALWAYS, "telegram": Use.FALLBACK}
COLLEAGUE = {"slack": Use.ALWAYS, "telegram": Use.ALWAYS, "sms": Use.FALLBACK}
POLICY = {
    "name": "Two of Finance",
    "timeoutSeconds": 86_400,
    "stages": [
        {
            "name": "Finance",
            "need": {"who": {"group": "finance"}, "count": 2},
            "reminders": [{"after": 3_600}],
            "timeoutAction": "reject",
        }
    ],
}


def are_wanted() -> bool:
    """Whether this is a server to be tried out."""
    return bool(settings.SANDBOX_ACCOUNTS) and not settings.BOOTSTRAP_EMAIL


def add(team: Team, admin: User) -> None:
    """Give the admin screens in the sandbox, and a colleague who answers there alone."""
    _reach(admin, ADMIN)
    colleague = User.objects.create_user(EMAIL, None, name=NAME)  # nobody logs in as them
    add_member(team, colleague, Role.APPROVER)
    _reach(colleague, COLLEAGUE)
    colleague.contact_points.filter(kind=Kind.EMAIL).update(use=Use.FALLBACK)
    _sample_policy(team, admin, colleague)


def _sample_policy(team: Team, *people: User) -> None:
    """A policy to look at and to name in a request; by itself it applies to nothing."""
    group = Group.objects.create(team=team, name="Finance", slug="finance")
    group.members.set(people)
    policy_books.save_policy(team, POLICY, by=None, note="A sample")


def _reach(user: User, uses: Mapping[str, str]) -> None:
    for position, (channel, use) in enumerate(uses.items(), start=1):
        if channel in settings.SANDBOX_ACCOUNTS:
            kind, address = MAKERS[channel]
            user.contact_points.create(
                kind=kind,
                address=address(user),
                use=use,
                position=position,
                verified_at=timezone.now(),
            )
