"""Lets staff make a played provider fail for a while, to watch retry and fallback at work."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dashboard import sandbox_lists
from dashboard.sandbox_pages import OUTAGE_MINUTES, staff_in_sandbox
from deliveries.sandbox import outages
from deliveries.sandbox.outages import Outage


@staff_in_sandbox
@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """`channel`, and `kind` with `minutes` to begin an outage; without a kind it ends."""
    channel, kind = request.POST.get("channel", ""), request.POST.get("kind", "")
    labels = dict(sandbox_lists.channels())
    if channel not in labels:
        raise Http404
    if kind not in Outage:
        outages.end(channel)
        messages.success(request, f"{labels[channel]} works again.")
        return redirect("sandbox")
    minutes = {str(each): each for each in OUTAGE_MINUTES}.get(request.POST.get("minutes", ""), 5)
    outages.begin(channel, Outage(kind), minutes)
    messages.success(request, f"{labels[channel]}: trouble for {minutes} min.")
    return redirect("sandbox")
