"""Where links in messages and posts of channels come back to."""

from django.urls import path

from workflows import callbacks, mail_off, webhooks

urlpatterns = [
    path("l/<str:token>/", callbacks.open_link, name="open-link"),
    path("webhooks/<slug:channel_name>/callback", webhooks.receive, name="channel-callback"),
    # A mail provider posts what became of mails to one address, and answers by mail to another.
    path("webhooks/email/tracking", webhooks.receive, {"channel_name": "email"}, "mail-tracking"),
    path("webhooks/email/inbound", webhooks.receive, {"channel_name": "email"}, "mail-inbound"),
    path("mail/off/<str:token>/", mail_off.page, name="mail-off"),
    path("respond/<uuid:delivery_id>/", callbacks.respond, name="respond"),
]
