"""What machines of operators ask: `/readyz`, a line for each check, and `/metrics`."""

import json
from hmac import compare_digest

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hitl.lib import local_names
from hitl.operate import readiness
from hitl.operate.metrics import process, stored
from hitl.operate.readiness import Check, Overall, Report

FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 while people can decide here, else 503; with `?strict` 503 as soon as any check fails.

    A load balancer must not take away the pages because a worker is silent or Redis is gone; a
    monitor that looks at the status alone wants to know of that.
    """
    found = readiness.report()
    fatal = {Overall.FAILED, *({Overall.DEGRADED} if "strict" in request.GET else ())}
    status = 503 if found.overall in fatal else 200
    return HttpResponse(_document(found), content_type="application/json", status=status)


def _document(found: Report) -> str:
    lines = ",\n".join(f"    {json.dumps(_line(each))}" for each in found.checks)
    return f'{{\n  "status": "{found.overall}",\n  "checks": [\n{lines}\n  ]\n}}\n'


def _line(check: Check) -> dict[str, str | float]:
    line: dict[str, str | float] = {"check": check.name, "status": str(check.standing)}
    if check.seconds is not None:
        line["seconds"] = round(check.seconds, 1)
    return line


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus reads, for whoever has METRICS_TOKEN; there is no such page for others."""
    if not _may_read(request):
        raise Http404
    told = generate_latest(process.registry()) + generate_latest(stored.registry())
    return HttpResponse(told, content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}"
        return compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode())
    return settings.EMBEDDED and _is_on_this_machine(request)


def _is_on_this_machine(request: HttpRequest) -> bool:
    """Directly, under a name of this machine's own: neither a proxy here nor a page in a browser
    that lies about its name can ask for somebody else."""
    is_direct = not any(request.META.get(name) for name in FORWARDED)
    host, _ = split_domain_port(request.get_host())
    is_local = request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")
    return is_direct and is_local and host in local_names.LOOPBACK
