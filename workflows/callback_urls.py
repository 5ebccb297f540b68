"""Where links in messages and posts of channels come back to."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
