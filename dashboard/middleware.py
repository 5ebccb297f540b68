"""Headers that every answer carries beyond what Django and the content policy set."""

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


@sync_and_async_middleware
def page_headers(get_response):  # type: ignore[no-untyped-def]  # sync or async, as Django needs it
    """Pages are personal: no cache keeps them, no other site embeds what they are made of."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            return _dress(await get_response(request))

        return later

    def now(request: HttpRequest) -> HttpResponseBase:
        return _dress(get_response(request))

    return now


def _dress(response: HttpResponseBase) -> HttpResponseBase:
    headers = response.headers
    if headers.get("Content-Type", "").startswith("text/html"):
        headers["Cache-Control"] = "no-store"
    # Tables, exports and answers of the API are as personal; what is not says so itself.
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Permissions-Policy", POLICY)
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("X-Robots-Tag", "noindex, nofollow")
    return response
