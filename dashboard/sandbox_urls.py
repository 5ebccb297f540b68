"""Paths of the sandbox: its pages, and the addresses of the providers that it plays."""

from django.urls import include, path

from dashboard import sandbox, sandbox_chats, sandbox_outages
from dashboard import sandbox_providers as providers

TWILIO = "twilio/2010-04-01/Accounts/<slug:sid>"
provider_patterns = [
    path("slack/api/<str:method>", providers.slack_api),
    path("slack/actions/<str:token>", providers.slack_response),
    path(f"{TWILIO}.json", providers.twilio_api),
    path(f"{TWILIO}/<slug:part>.json", providers.twilio_api),
    path("telegram/bot<str:token>/<slug:method>", providers.telegram_api),
]
chat_patterns = [
    path("", sandbox_chats.show, name="sandbox-chat"),
    path("parts/", sandbox_chats.fragment, name="sandbox-chat-parts"),
    path("press/", sandbox_chats.press, name="sandbox-press"),
    path("say/", sandbox_chats.say, name="sandbox-say"),
    path("form/", sandbox_chats.fill_in, name="sandbox-form"),
]
urlpatterns = [
    path("", sandbox.mailbox, name="sandbox"),
    path("list/", sandbox.fragment, name="sandbox-list"),
    path("<int:message_id>/", sandbox.message, name="sandbox-message"),
    path("<int:message_id>/document/", sandbox.document, name="sandbox-document"),
    path("chats/<slug:channel>/<str:recipient>/", include(chat_patterns)),
    path("outage/", sandbox_outages.change, name="sandbox-outage"),
    path("providers/", include(provider_patterns)),
]
