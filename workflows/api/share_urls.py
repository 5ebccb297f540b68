"""Paths of the API around a decision."""

from django.urls import URLPattern, path

from workflows.api import share_views as views

_ONE = "api/v1/workflows/<str:workflow_id>"

urlpatterns: list[URLPattern] = [
    path(f"{_ONE}/withdraw", views.Withdraw.as_view(), name="api-withdraw"),
    path(f"{_ONE}/extend", views.Extend.as_view(), name="api-extend"),
    path(f"{_ONE}/hand-over", views.HandOver.as_view(), name="api-hand-over"),
    path(f"{_ONE}/claim", views.Claim.as_view(), name="api-claim"),
    path(f"{_ONE}/release", views.Release.as_view(), name="api-release"),
    path(f"{_ONE}/remarks", views.Remarks.as_view(), name="api-remarks"),
    path("api/v1/decisions/batch", views.DecideBatch.as_view(), name="api-decide-batch"),
]
