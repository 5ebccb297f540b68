"""Where List-Unsubscribe leads: one POST, and requests come by mail no more while other ways work.

Looking changes nothing, since mail filters fetch links. The token stops mails and does nothing
else; it shares neither code nor signature with what decides.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from deliveries import routing
from deliveries import selectors as deliveries
from deliveries.channels import get_channel
from deliveries.channels.email import opt_out
from hitl.accounts import contacts
from hitl.accounts.models import ContactPoint, User

Use = ContactPoint.Use


@csrf_exempt  # mail services post without our page (RFC 8058, section 3.2); the token is the proof
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponse:
    """`/mail/off/<token>/`: GET tells how it is and offers a button; POST changes it, again too.

    `mails=on` in the post switches them on again. 404 for a token we never made, and for a mailbox
    that is no longer the person's.
    """
    delivery_id = opt_out.delivery_id(token)
    delivery = deliveries.get(delivery_id) if delivery_id else None
    person = delivery.user if delivery else None
    point = contacts.mailbox(person, delivery.recipient) if delivery and person else None
    if person is None or point is None:
        return _private(render(request, "workflows/mail_off_unknown.html", status=404))
    others = [each for each in _ways(person) if each.address != point.address]
    if request.method == "POST":
        # Whoever has nothing else gets no mail at all: they asked for that.
        less = Use.FALLBACK if others else Use.OFF
        wanted = request.POST.get("mails") == "on"
        contacts.set_use(person, point.pk, Use.ALWAYS if wanted else less)
        point.refresh_from_db()
    return _private(
        render(request, "workflows/mail_off.html", {"point": point, "others": _labels(others)})
    )


def _ways(person: User) -> list[routing.Recipient]:
    now, later = routing.order_for(person)
    return [*now, *later]


def _labels(ways: list[routing.Recipient]) -> list[str]:
    return list(dict.fromkeys(get_channel(each.channel).label for each in ways))


def _private(response: HttpResponse) -> HttpResponse:
    add_never_cache_headers(response)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response
