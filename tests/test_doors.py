"""Every address there is: it needs a login, or it stands in the list of those that do not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from hitl.accounts.models import User
from tests.dashboard.browser import logged_in

pytestmark = pytest.mark.django_db

# Who opens these is nobody yet, or is known by something else than a login.
PUBLIC = {
    # The door itself.
    "login/", "login/second-factor/", "admin/login/", "logout/", "admin/logout/",
    # A token in the address is the proof, and the page behind it takes a cookie made from it.
    "l/<str:token>/", "respond/<uuid:delivery_id>/", "mail/off/<str:token>/",
    # A signature over the post is the proof.
    "webhooks/<slug:channel_name>/callback", "webhooks/email/tracking", "webhooks/email/inbound",
    # A token of the operators' own, or there is no such page: tests/operate/test_metrics.py.
    "metrics",
    # Whether somebody is there; keys that anybody may verify with; the API's description.
    "ping", "healthz", "readyz", ".well-known/jwks.json", "api/schema/", "api/docs/",
    # Providers that the sandbox plays: each call brings the account's token.
    "sandbox/providers/slack/api/<str:method>", "sandbox/providers/slack/actions/<str:token>",
    "sandbox/providers/twilio/2010-04-01/Accounts/<slug:sid>.json",
    "sandbox/providers/twilio/2010-04-01/Accounts/<slug:sid>/<slug:part>.json",
    "sandbox/providers/telegram/bot<str:token>/<slug:method>",
}  # fmt: skip
# What may be kept by others, because it is the same for everybody.
CACHEABLE = {".well-known/jwks.json"}
# A mail is shown in a frame of the sandbox's own page.
FRAMED = {"sandbox/<int:message_id>/document/"}

SAMPLES = {
    "uuid": "0c0c0c0c-0000-4000-8000-000000000000",
    "int": "1",
    "slug": "slack",
    "str": "0c0c0c0c-0000-4000-8000-000000000000",
    "path": "1",
}


def routes(entries: Any = None, before: str = "") -> Iterator[str]:
    """Every route of the URL conf, as it is written there."""
    for entry in get_resolver().url_patterns if entries is None else entries:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern):
            yield route


ALL = sorted(set(routes()))
CLOSED = [route for route in ALL if route not in PUBLIC]


def filled(route: str) -> str:
    """An address of the route."""
    path = re.sub(r"<(\w+):\w+>", lambda found: SAMPLES[found[1]], route)
    path = re.sub(r"\(\?P<\w+>[^)]*\)", "x", path)
    return "/" + path.replace("^", "").replace("$", "").replace("\\", "")


def sends_away(answer: Any) -> bool:
    """To the login, or with 401."""
    if answer.status_code == 302:
        return bool(re.match(r"/(admin/)?login/", answer["Location"]))
    return bool(answer.status_code == 401)


def missing(answer: Any, route: str) -> list[str]:
    """The headers that are not as they have to be."""
    headers = dict(answer.headers.items())
    policy = headers.get("Content-Security-Policy", "")
    right = {
        "X-Content-Type-Options": headers.get("X-Content-Type-Options") == "nosniff",
        "X-Frame-Options": headers.get("X-Frame-Options") == "DENY",
        "COOP": headers.get("Cross-Origin-Opener-Policy") == "same-origin",
        "CORP": headers.get("Cross-Origin-Resource-Policy") == "same-origin",
        "Referrer-Policy": headers.get("Referrer-Policy") in ("same-origin", "no-referrer"),
        "CSP": "default-src 'self'" in policy or "default-src 'none'" in policy,
        "CSP frames": "frame-ancestors 'none'" in policy or route in FRAMED,
        "Permissions-Policy": headers.get("Permissions-Policy", "").startswith("camera=()"),
        "Cache-Control": "no-store" in headers.get("Cache-Control", "") or route in CACHEABLE,
    }
    return [name for name, is_right in right.items() if not is_right]


@pytest.fixture(autouse=True)
def _with_sandbox(settings: Settings) -> None:
    settings.SANDBOX = True


def test_the_list_names_routes_that_exist() -> None:
    assert (PUBLIC | CACHEABLE | FRAMED) - set(ALL) == set()


@pytest.mark.parametrize("method", ["get", "post"])
def test_every_other_address_needs_a_login(method: str) -> None:
    client = Client(raise_request_exception=False)
    assert len(CLOSED) > 150
    open_doors = []
    for route in CLOSED:
        answer = getattr(client, method)(filled(route))
        # A method that is not there is no door; the other one is tried too.
        if answer.status_code != 405 and not sends_away(answer):
            open_doors.append((route, answer.status_code))
    assert open_doors == []


def test_no_address_answers_neither_get_nor_post_before_the_login() -> None:
    """Where both were refused as methods, nothing would have been proven."""
    client = Client(raise_request_exception=False)
    refused = [
        route
        for route in CLOSED
        if {client.get(filled(route)).status_code, client.post(filled(route)).status_code} == {405}
    ]
    assert refused == []


@pytest.mark.parametrize("is_known", [False, True])
def test_every_answer_carries_the_headers(approver: User, is_known: bool) -> None:
    approver.is_staff = approver.is_superuser = is_known
    approver.save()
    wrong = {}
    for route in ALL:
        client = logged_in(approver) if is_known else Client()
        client.raise_request_exception = False
        answer = client.get(filled(route))
        found = missing(answer, route)
        is_broken = answer.status_code >= 500 and route != "readyz"  # nothing else runs here
        if found or is_broken:
            wrong[route] = answer.status_code, found
    assert wrong == {}
