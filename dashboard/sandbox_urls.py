"""Paths of the sandbox."""

from django.urls import path

from dashboard import sandbox

urlpatterns = [
    path("", sandbox.mailbox, name="sandbox"),
    path("list/", sandbox.fragment, name="sandbox-list"),
    path("<int:message_id>/", sandbox.message, name="sandbox-message"),
    path("<int:message_id>/document/", sandbox.document, name="sandbox-document"),
]
