"""The banner above every page by which the watchdog tells those who can do something."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.context import watches


@login_required
@require_safe
def fragment(request: HttpRequest) -> HttpResponse:
    """The banner alone, for a page that stays open."""
    if not watches(request):
        raise Http404
    return render(request, "dashboard/_watch.html")
