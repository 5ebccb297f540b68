"""Paths of the agent API and the seed's paths."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
