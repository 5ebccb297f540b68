"""Paths of the API of states and rollback."""

from django.urls import URLPattern, path

from workflows.api import rollback_views as views

_ONE = "api/v1/workflows/<str:workflow_id>"

urlpatterns: list[URLPattern] = [
    path(f"{_ONE}/snapshots", views.States.as_view(), name="api-snapshots"),
    path(f"{_ONE}/snapshots/diff", views.StateDiff.as_view(), name="api-snapshot-diff"),
    path(f"{_ONE}/snapshots/<str:seq>", views.OneState.as_view(), name="api-snapshot"),
    path(f"{_ONE}/rollback", views.RollBack.as_view(), name="api-rollback"),
]
