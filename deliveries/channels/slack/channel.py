"""Slack as a channel: posts with buttons, rewrites them after the verdict, asks in modals.

A contact point is `T123:U456`, a person in a workspace, or `T123:C456`, a channel. The personal
link of a message is never posted: in a channel everybody would have it, and buttons do its work.
"""

import datetime as dt
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from slack_sdk import WebClient
from slack_sdk.models.blocks import SectionBlock

from deliveries.channels.base import (
    Answer,
    Channel,
    ChannelError,
    FormField,
    Health,
    Message,
    Note,
    Proof,
    Receipt,
    Reply,
    Report,
    Trouble,
    bad_address,
)
from deliveries.channels.slack import api, blocks, forms, inbound, signature, wording

EVENT_TYPE = "hitl_delivery"
PAGE = 100
PAGES = 10
CLOCKS_APART = dt.timedelta(minutes=2)
VIEW_TIMEOUT = 3  # a trigger is good for three seconds: later answers come too late anyway
TOLD_LIMIT = 2000
_ADDRESS = re.compile("[A-Z0-9]{1,40}:([UWCGD][A-Z0-9]{1,40})")


class SlackChannel(Channel):
    """Asks, tells and takes answers in Slack."""

    name = "slack"
    label = "Slack"
    contact_kind = "slack"
    settings = ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")
    can_update = True
    proof = Proof.LOOKUP
    example = "T123:U456"

    @classmethod
    def is_on(cls) -> bool:
        """Whether there is a bot, and a way for clicks to come back: signed posts or a socket."""
        back = signature.secrets() or settings.SLACK_APP_TOKEN
        return bool(settings.SLACK_BOT_TOKEN and back)

    @classmethod
    def missing(cls) -> list[str]:
        """The bot, or every way back to us."""
        back = signature.secrets() or settings.SLACK_APP_TOKEN
        if settings.SLACK_BOT_TOKEN and not back:
            return ["SLACK_SIGNING_SECRET or SLACK_APP_TOKEN"]
        return ["SLACK_BOT_TOKEN"] if back and not settings.SLACK_BOT_TOKEN else []

    @classmethod
    def read_address(cls, text: str) -> str:
        """A person or a channel in a workspace: `T123:U456`."""
        address = super().read_address(text).upper()
        if not _ADDRESS.fullmatch(address):
            raise bad_address("This is not a Slack address (like T123:U456).")
        return address

    def send(
        self,
        message: Message,
        *,
        to: str,
        key: str,
        link: str = "",
        code: str = "",
        earlier: dict[str, str] | None = None,
    ) -> Receipt:
        """Post one message; `key` travels in its buttons and its metadata.

        Slack has no idempotency key: after a lost answer `find` tells whether it was posted. A
        reminder stands on its own: of a reply in a thread Slack tells nobody who has not written
        there.
        """
        posted = api.call(
            api.client().chat_postMessage,
            channel=_conversation(to),
            text=blocks.fallback(message),
            blocks=blocks.asking(message, key),
            metadata={"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            mrkdwn=False,
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        return _receipt(posted.get("channel"), posted.get("ts"))

    def update(
        self,
        message: Message,
        *,
        to: str,
        provider_ids: dict[str, str],
        key: str = "",
        link: str = "",
    ) -> None:
        """Rewrite the message: the outcome instead of the buttons, or the same buttons again."""
        drawn = blocks.telling(message) if message.outcome else blocks.asking(message, key)
        api.call(
            api.client().chat_update,
            channel=provider_ids["channel"],
            ts=provider_ids["ts"],
            text=blocks.fallback(message),
            blocks=drawn,
            parse="none",
            link_names=False,
        )

    def find(self, *, to: str, key: str, since: dt.datetime) -> Receipt | None:
        """Look through what we posted there since then for a message that carries `key`."""
        client = api.client()
        channel = _conversation(to)
        if channel[0] in "UW":
            opened = api.part(api.call(client.conversations_open, users=channel), "channel")
            channel = str(opened.get("id"))
        ours = api.bot()
        for post in _history(client, channel, since - CLOCKS_APART):
            # Anybody can post metadata like ours; nobody else can post it as our bot.
            if post.get("user") == ours and _key_of(post) == key:
                return _receipt(channel, post.get("ts"))
        return None

    def verify(self, request: HttpRequest) -> None:
        """Check the signature on the raw body. What came through our own socket needs none."""
        if not isinstance(request, inbound.SocketRequest):
            signature.check(request)

    def parse(self, request: HttpRequest) -> list[Reply | Report]:
        """Our buttons and modals. Copies that Slack repeats parse to the same `event_id`."""
        return [*inbound.replies(inbound.payload(request))]

    def acknowledge(self, request: HttpRequest, problem: str = "") -> Answer:
        """An empty 200 for clicks; modals close, or show the problem beside the comment."""
        return inbound.acknowledgement(inbound.payload(request), problem)

    def tell(self, reply: Reply, text: str) -> None:
        """Say it where they pressed, visible to them alone; else in a direct message."""
        said, drawn = _said(text)
        for attempt in (_through_the_click, _beside_the_message):
            try:
                attempt(reply, said, drawn)
            except ChannelError as error:
                if error.retry_after is not None:
                    raise
            else:
                return
        person = reply.sender.rpartition(":")[2]
        api.call(api.client().chat_postMessage, channel=person, text=said, blocks=drawn)

    def ask(self, reply: Reply, message: Message, fields: list[FormField]) -> None:
        """Open the modal for a reason or for edits; a click opens one within three seconds."""
        is_reason = reply.action == "ask_reason"
        view = forms.reason(reply, message) if is_reason else forms.edits(reply, message, fields)
        trigger = reply.handle.get("trigger_id", "")
        client = api.client(timeout=VIEW_TIMEOUT)
        api.call(client.views_open, trigger_id=trigger, view=view.to_dict())

    def say(self, note: Note, *, to: str) -> None:
        """A direct message, with one button where there is a link."""
        api.call(
            api.client().chat_postMessage,
            channel=_conversation(to),
            text=wording.escape(wording.lines(note.text, TOLD_LIMIT)),
            blocks=blocks.note(note),
            mrkdwn=False,
            parse="none",
            unfurl_links=False,
            unfurl_media=False,
        )

    def look_up(self, email: str) -> str | None:
        """See `lookup_user`."""
        return self.lookup_user(email)

    def check(self) -> Health:
        """Ask Slack who we are, what we may do, and whether Socket Mode would let us in."""
        identity = api.identify()
        lacking = [scope for scope in api.SCOPES if scope not in identity.scopes]
        troubles = []
        if lacking:
            says = f"The app lacks the permission{'s' * (len(lacking) > 1)} {', '.join(lacking)}."
            troubles.append(Trouble(says, "Install it again from docs/slack-app-manifest.yaml."))
        if settings.SLACK_APP_TOKEN:
            troubles += _check_socket()
        says = f"We are {identity.bot} in the workspace {identity.workspace}."
        return Health(says, tuple(troubles), identity.time)

    def lookup_user(self, email: str) -> str | None:
        """The contact point of the workspace member with that address. Raises ChannelError.

        Good for writing to somebody. It proves nothing about who presses a button: people can
        change the address in their profile.
        """
        try:
            found = api.part(api.call(api.client().users_lookupByEmail, email=email), "user")
        except api.Refused as error:
            if error.reason == "users_not_found":
                return None
            raise
        if found.get("deleted") or found.get("is_bot"):
            return None
        address = f"{found.get('team_id')}:{found.get('id')}"
        return address if _ADDRESS.fullmatch(address) else None

    def check_scopes(self) -> list[str]:
        """The permissions that the installed app lacks. Raises ChannelError."""
        given = api.scopes()
        return [scope for scope in api.SCOPES if scope not in given]


def _check_socket() -> list[Trouble]:
    try:
        api.check_app_token()
    except ChannelError as error:
        remedy = "Make an app-level token with connections:write and set SLACK_APP_TOKEN."
        return [Trouble(f"Clicks cannot reach us through Socket Mode: {error}", remedy)]
    return []


def _conversation(address: str) -> str:
    """What Slack calls the channel: posting to a person's id opens the direct message."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ChannelError("This is not a Slack address (like T123:U456).", permanent=True)
    return found[1]


def _receipt(channel: Any, ts: Any) -> Receipt:
    """What Slack has taken stands in the conversation, so it is delivered: no later word comes."""
    if not (isinstance(channel, str) and isinstance(ts, str) and channel and ts):
        raise ChannelError("Slack's answer does not tell where the message is.")
    ids = {"messageId": f"{channel}:{ts}", "channel": channel, "ts": ts}
    return Receipt(ids, delivered=True)


def _history(client: WebClient, channel: str, oldest: dt.datetime) -> list[dict[str, Any]]:
    """What was posted there since then, newest first."""
    posts: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = api.call(
            client.conversations_history,
            channel=channel,
            oldest=f"{oldest.timestamp():.6f}",
            inclusive=True,
            include_all_metadata=True,
            limit=PAGE,
            cursor=cursor,
        )
        found = page.get("messages")
        posts += [post for post in found if isinstance(post, dict)] if found else []
        cursor = api.part(page, "response_metadata").get("next_cursor")
        if not cursor:
            break
    return posts


def _key_of(post: dict[str, Any]) -> Any:
    match post.get("metadata"):
        case {"event_type": str(name), "event_payload": {"key": key}} if name == EVENT_TYPE:
            return key
        case _:
            return None


def _said(words: str) -> tuple[str, list[dict[str, Any]]]:
    said = wording.lines(words, TOLD_LIMIT)
    return wording.escape(said), [SectionBlock(text=wording.plain(said)).to_dict()]


def _through_the_click(reply: Reply, said: str, drawn: list[dict[str, Any]]) -> None:
    api.answer_to(reply.handle.get("response_url", ""), said, drawn)


def _beside_the_message(reply: Reply, said: str, drawn: list[dict[str, Any]]) -> None:
    if "channel" not in reply.place:
        raise ChannelError("It is not known where they pressed.", permanent=True)
    api.call(
        api.client().chat_postEphemeral,
        channel=reply.place["channel"],
        user=reply.sender.rpartition(":")[2],
        text=said,
        blocks=drawn,
    )
