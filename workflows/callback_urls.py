"""Where links in messages and posts of channels come back to."""

from django.urls import path

from workflows import callbacks, webhooks

urlpatterns = [
    path("l/<str:token>/", callbacks.open_link, name="open-link"),
    path("webhooks/<slug:channel_name>/callback", webhooks.receive, name="channel-callback"),
    path("respond/<uuid:delivery_id>/", callbacks.respond, name="respond"),
]
