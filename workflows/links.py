"""Who stands before a link's page: the holder of a personal link, or the same person logged in.

The token of a link is seen once, in `/l/<token>/`; from then on a signed cookie, scoped to the one
page, stands for it. A link is worth no more than the membership it was sent under.
"""

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from deliveries import selectors as deliveries
from deliveries.models import Delivery, DeliveryToken
from hitl.accounts import selectors as accounts
from hitl.accounts import stepup
from hitl.accounts.models import Membership, User
from hitl.lib import limits, peers
from hitl.lib.errors import Forbidden
from workflows import cases, guests
from workflows.models import Workflow

COOKIE = "hitl_link"
HOLD_SECONDS = 3600
_COOKIE_SALT, _PAGE_SALT = "workflows.links.cookie", "workflows.links.page"


class NoLink(Forbidden):
    """Neither the link's cookie nor a session of its receiver; says nothing about the delivery."""

    code = "no-link"
    title = "This page opens from a message"


class SomebodyElse(Forbidden):
    """The browser is logged in as another person than the link was sent to."""

    code = "somebody-else"
    title = "This link was sent to somebody else"


class LinkVoid(Forbidden):
    """The receiver's place in the team has changed since the link was sent."""

    code = "link-void"
    title = "This link is no longer valid"


class NotFromPage(Forbidden):
    """The form was not drawn by us for this person and this data, or long ago."""

    code = "not-from-page"
    title = "Please look again"


class LoginNeeded(Forbidden):
    """The link shows the request, but is not enough to decide it."""

    code = "login-needed"
    title = "Log in to decide"


@dataclass(frozen=True)
class Visitor:
    """The person before the page. `strength` is `link`, or for who is logged in `session` or the
    second factor that was freshly shown.

    Guests have no membership, and the link is all they ever have.
    """

    delivery: Delivery
    user: User
    membership: Membership | None
    strength: str

    @property
    def is_logged_in(self) -> bool:
        """Whether there is more than the link."""
        return self.strength != guests.BY_LINK

    def may_decide(self, workflow: Workflow) -> bool:
        """Whether this proof of identity is enough for the request's risk; a second factor is
        asked for by the gate, of those who are logged in."""
        if self.is_logged_in:
            return True
        return is_enough(workflow) and not cases.wants_second_factor(workflow)


def is_enough(workflow: Workflow) -> bool:
    """Whether the team lets a personal link, or an answer by mail, decide at this risk."""
    return workflow.risk in guests.risks(workflow.team)


def hand_over(response: HttpResponse, link: DeliveryToken) -> None:
    """Let a short-lived cookie stand for the token, on the one page of this delivery."""
    response.set_cookie(
        COOKIE,
        signing.dumps(link.pk, salt=_COOKIE_SALT),
        max_age=HOLD_SECONDS,
        path=reverse("respond", args=[link.delivery_id]),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",  # Strict would be withheld on the way from a mail reader
    )


def visitor(request: HttpRequest, delivery_id: UUID) -> Visitor:
    """Who is asking for this delivery's page. Raises NoLink, SomebodyElse or LinkVoid."""
    link = _held(request, delivery_id)
    person = request.user if isinstance(request.user, User) else None
    delivery = link.delivery if link else deliveries.get(delivery_id) if person else None
    if delivery is None or delivery.user is None or (person != delivery.user and not link):
        raise NoLink("Open the link in your message again, or log in to the dashboard.")
    if person not in (None, delivery.user):
        raise SomebodyElse(f"You are logged in as {person}. Nothing has been decided.")
    membership = accounts.membership(delivery.team_id, delivery.user.pk)
    if membership is None:
        return _guest(delivery, delivery.user, link)
    if person is None and link and link.created_at < membership.role_since:
        raise LinkVoid("Your place in the team has changed since this message was sent: log in.")
    strength = stepup.strength(request) if person else guests.BY_LINK
    return Visitor(delivery, delivery.user, membership, strength)


def _guest(delivery: Delivery, user: User, link: DeliveryToken | None) -> Visitor:
    """Somebody without a place in the team, with the link that is a guest's only way in."""
    check_guest(Workflow.objects.select_related("team").get(pk=delivery.workflow_id), user)
    if link is None:
        raise NoLink("Open the link in your message again: it is your only way in.")
    return Visitor(delivery, user, None, guests.BY_LINK)


def check_guest(workflow: Workflow, user: User) -> None:
    """Raise LinkVoid for somebody without a place in the team who is no guest of the request."""
    if str(user.pk) not in guests.addresses(workflow):
        raise LinkVoid(f"You are no longer a member of the team {workflow.team.name}.")
    if reason := guests.why_void(workflow, user.pk):
        raise LinkVoid(reason)


def _held(request: HttpRequest, delivery_id: UUID) -> DeliveryToken | None:
    try:
        link_id = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=_COOKIE_SALT, max_age=HOLD_SECONDS
        )
    except signing.BadSignature:
        return None
    return deliveries.link_by_id(link_id, delivery_id=delivery_id)


def page_nonce(visitor: Visitor, fingerprint: str) -> str:
    """What a form must bring back: that this person saw this data on this delivery's page."""
    return signing.dumps(_seen(visitor, fingerprint), salt=_PAGE_SALT)


def check_nonce(nonce: str, visitor: Visitor, fingerprint: str) -> None:
    """Raise NotFromPage unless we drew the form, for this person and data, not too long ago."""
    try:
        seen = signing.loads(nonce, salt=_PAGE_SALT, max_age=2 * HOLD_SECONDS)
    except signing.BadSignature:
        seen = None
    if seen != _seen(visitor, fingerprint):
        raise NotFromPage("Nothing was sent: open the page again and decide on what it shows.")


def _seen(visitor: Visitor, fingerprint: str) -> list[str]:
    return [str(visitor.delivery.pk), str(visitor.user.pk), fingerprint]


def too_many_misses(request: HttpRequest) -> float:
    """Count one unknown token; how many seconds this address is to wait after too many, else 0.

    Only misses are counted, so nobody can lock out the holder of a real link.
    """
    return limits.hold_off("misses", peers.network(request), settings.RATE_LIMIT_MISSES)
