"""Paths of the pages on which managers look after webhooks."""

from django.urls import path

from dashboard import webhooks

_ONE = "<uuid:webhook_id>/"

urlpatterns = [
    path("", webhooks.index, name="webhooks"),
    path("new/", webhooks.new, name="webhook-new"),
    path(_ONE, webhooks.page, name="webhook"),
    path(f"{_ONE}change/", webhooks.change, name="webhook-change"),
    path(f"{_ONE}switch/", webhooks.switch, name="webhook-switch"),
    path(f"{_ONE}test/", webhooks.test, name="webhook-test"),
    path(f"{_ONE}rotate/", webhooks.rotate, name="webhook-rotate"),
    path(f"{_ONE}replay/", webhooks.replay, name="webhook-replay"),
    path(f"{_ONE}remove/", webhooks.remove, name="webhook-remove"),
    path(f"{_ONE}messages/<uuid:message_id>/", webhooks.message, name="webhook-message"),
    path(f"{_ONE}messages/<uuid:message_id>/resend/", webhooks.resend, name="webhook-resend"),
]
