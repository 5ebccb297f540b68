"""Includes only: each floor mounts its own paths."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("hitl.operate.urls")),
    path("", include("workflows.urls")),
    path("", include("dashboard.urls")),
]
