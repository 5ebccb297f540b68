"""Paths of what operators' machines ask."""

from django.urls import path

from hitl.operate import views

urlpatterns = [
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
]
