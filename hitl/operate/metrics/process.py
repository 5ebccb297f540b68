"""What this process counts of itself: the requests it has answered.

With PROMETHEUS_MULTIPROC_DIR in the environment several processes behind one port count together.
"""

import os
import time

from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
# From what a healthy server needs to what a long poll takes.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter(
    "hitl_http_requests", "Requests answered.", ("method", "route", "status"), registry=REGISTRY
)
DURATIONS = Histogram(
    "hitl_http_request_seconds",
    "How long answers took to begin.",
    ("method", "route"),
    buckets=SECONDS,
    registry=REGISTRY,
)


def registry() -> CollectorRegistry:
    """What is to be read: this process' own, or that of all."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


def count(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    """One request, begun at that reading of `time.monotonic`."""
    method, route = method_of(request), route_of(request)
    REQUESTS.labels(method, route, str(response.status_code)).inc()
    DURATIONS.labels(method, route).observe(time.monotonic() - began)


def method_of(request: HttpRequest) -> str:
    """One of those there are: clients may send any word."""
    return request.method or "other" if request.method in METHODS else "other"


def route_of(request: HttpRequest) -> str:
    """The pattern that the path fits, never the path: ids and tokens stand in it."""
    match = request.resolver_match
    return f"/{match.route}" if match else "none"
