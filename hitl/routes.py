"""Which role answers what, written down once: for the roles, for the proxy and for the tests.

The role `live` runs the whole server under ASGI, where a connection that waits costs no thread; it
could answer everything. The role `web` runs the same under WSGI, which answers two to three times
as many ordinary requests on the same processors, and cannot hold a connection open. So the proxy
sends to `live` what waits, and everything else to `web` (hitl/proxy/haproxy.cfg).
"""

WEB, LIVE = "web", "live"

SOCKETS = "/ws/"
STREAMS = ("/api/v1/events/stream",)
# Under this, a GET with WAIT in its query is a long poll: /api/v1/events?wait=30.
API = "/api/"
WAIT = "wait"


def role_for(method: str, path: str, query: str) -> str:
    """Who is to be asked. `path` as Django sees it, `query` as it stands in the address."""
    return LIVE if must_be_live(path) or is_long_poll(method, path, query) else WEB


def must_be_live(path: str) -> bool:
    """Whether it is a socket or a stream: `web` has nothing to answer them with."""
    return path.startswith(SOCKETS) or path in STREAMS


def is_long_poll(method: str, path: str, query: str) -> bool:
    """Whether the answer may be waited for. `web` answers at once, with Retry-After."""
    names = (part.partition("=")[0] for part in query.split("&"))
    return method == "GET" and path.startswith(API) and WAIT in names
