"""Which role answers what: the rules, and that they know all that can wait."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from dashboard.routing import websocket_urlpatterns
from hitl import routes
from hitl.routes import LIVE, WEB, role_for
from workflows.api import socket, streaming

ONE = "/api/v1/workflows/01a20b8e-bf4d-7507-b3c6-bfdfc268c202"
# What the proxy is held to as well (tests/test_proxy.py).
EXAMPLES = [
    ("GET", "/ws/live/", "", LIVE),
    ("GET", "/ws/v1/events/", "", LIVE),
    ("GET", "/ws/v1/events", "a=b", LIVE),
    ("GET", "/api/v1/events/stream", "", LIVE),
    ("GET", "/api/v1/events/stream", "after=latest", LIVE),
    ("GET", "/api/v1/events", "wait=30", LIVE),
    ("GET", "/api/v1/events", "after=latest&wait=30&limit=5", LIVE),
    ("GET", ONE, "wait=30", LIVE),
    ("GET", ONE, "until=settled&wait=60", LIVE),
    ("GET", ONE, "", WEB),
    ("GET", ONE, "await=30", WEB),
    ("GET", ONE, "until=wait", WEB),
    ("GET", "/api/v1/events", "", WEB),
    ("GET", "/api/v1/events", "after=latest", WEB),
    ("GET", "/api/v1/events/streams", "", WEB),
    ("POST", ONE + "/decide", "wait=30", WEB),
    ("POST", "/api/v1/workflows", "", WEB),
    ("GET", "/", "", WEB),
    ("GET", "/", "wait=30", WEB),
    ("GET", "/history/", "q=wait", WEB),
    ("GET", "/admin/", "", WEB),
    ("GET", "/static/css/hitl.css", "", WEB),
    ("GET", "/wsx/", "", WEB),
]


@pytest.mark.parametrize(("method", "path", "query", "role"), EXAMPLES)
def test_each_request_has_its_role(method: str, path: str, query: str, role: str) -> None:
    assert role_for(method, path, query) == role


def test_all_sockets_are_known() -> None:
    ours = [f"/{pattern.pattern}" for pattern in websocket_urlpatterns]
    for path in (*ours, *socket.PATHS):
        assert role_for("GET", path, "") == LIVE


def test_all_that_streams_is_known() -> None:
    assert set(routes.STREAMS) == {path for path in streaming.PATHS if path.endswith("/stream")}
    streams = [
        path for path, _, operation in _operations() if "text/event-stream" in str(operation)
    ]
    assert streams == list(routes.STREAMS)


def test_all_that_waits_is_known() -> None:
    """Whatever takes `wait` is a long poll; nothing else is sent to `live` for its path."""
    waiting = set()
    for path, method, operation in _operations():
        names = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        assert (role_for(method, path, "wait=5") == LIVE) >= (routes.WAIT in names), path
        if routes.WAIT in names:
            waiting.add(path)
            assert role_for(method, path, "") == WEB
    assert waiting == {"/api/v1/events", "/api/v1/workflows/{workflowId}"}


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    generator: Any = SchemaGenerator  # published without types
    schema = generator().get_schema(request=None, public=True)
    return [
        (path, method.upper(), operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
