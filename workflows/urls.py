"""Mounts the agent API, the seed's paths and what channels' links and posts come back to."""

from django.urls import include, path

urlpatterns = [
    path("", include("workflows.api.urls")),
    path("", include("workflows.callback_urls")),
]
