"""What stands behind the Web API: people, conversations, posts, modals, and a ledger of calls."""

import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.slack import block_kit

SCOPES = [
    "channels:history", "chat:write", "groups:history", "im:history", "im:write", "users:read",
    "users:read.email",
]  # fmt: skip
TRIGGER_SECONDS = 3.0
RESPONSE_USES = 5
RESPONSE_SECONDS = 30 * 60


class SlackError(Exception):
    """An answer with `ok: false`."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.answer = {"ok": False, "error": code, **more}


@dataclass(frozen=True)
class Person:
    id: str
    email: str
    team: str
    deleted: bool = False
    is_bot: bool = False


@dataclass
class Conversation:
    id: str
    members: set[str]
    is_archived: bool = False


@dataclass
class Posted:
    """A message as it stands now; `history` keeps what it was before."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None = None
    visible_to: str = ""  # set for ephemeral ones
    history: list[list[dict[str, Any]]] = field(default_factory=list)

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """What can be pressed at this moment, by action id."""
        actions = [block for block in self.blocks if block["type"] == "actions"]
        return {part["action_id"]: part for block in actions for part in block["elements"]}

    @property
    def seen(self) -> str:
        """Everything that is on the screen, as one text."""
        return json.dumps(self.blocks, ensure_ascii=False)


@dataclass
class View:
    id: str
    hash: str
    user: str
    view: dict[str, Any]
    is_open: bool = True


@dataclass
class ResponseUrl:
    post: Posted
    user: str
    created: float
    uses: int = 0


@dataclass(frozen=True)
class Call:
    """One line of the ledger: what was asked, how, and whether it was accepted."""

    method: str
    arguments: dict[str, Any]
    token: str
    error: str
    at: float


@dataclass
class Workspace:
    """One team with one installed app."""

    team: str = "T0HITL"
    bot: str = "U0BOT"
    app: str = "A0HITL"
    token: str = field(default_factory=lambda: f"xoxb-{secrets.token_hex(16)}")
    app_token: str = field(default_factory=lambda: f"xapp-{secrets.token_hex(16)}")
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    socket_url: str = ""
    url: str = ""
    people: dict[str, Person] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    posts: list[Posted] = field(default_factory=list)
    ephemerals: list[Posted] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    ledger: list[Call] = field(default_factory=list)
    triggers: dict[str, tuple[str, float]] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.add_person("U0ANN", "ann@example.com")
        self.add_person("U0CARL", "carl@example.com")
        self.add_channel("C0DEPLOY", {self.bot, "U0ANN", "U0CARL"})
        self.add_channel("C0SECRET", {"U0ANN"})

    def add_person(self, id_: str, email: str, **more: Any) -> Person:
        person = Person(id_, email, **({"team": self.team} | more))
        self.people[id_] = person
        return person

    def add_channel(self, id_: str, members: set[str], **more: Any) -> Conversation:
        self.conversations[id_] = Conversation(id_, members, **more)
        return self.conversations[id_]

    def direct(self, user: str) -> str:
        """The id of the direct conversation between the bot and somebody."""
        id_ = "D" + user.removeprefix("U").removeprefix("W")
        if id_ not in self.conversations:
            self.add_channel(id_, {self.bot, user})
        return id_

    @property
    def last(self) -> Posted:
        return self.posts[-1]

    def calls(self, method: str) -> list[Call]:
        """The ledger's accepted lines of one method."""
        return [call for call in self.ledger if call.method == method and not call.error]

    # --- the Web API ----------------------------------------------------------------------------

    def call(self, method: str, arguments: dict[str, Any], token: str) -> dict[str, Any]:
        """Carry out one method and write it down. The answer as Slack gives it."""
        with self._lock:
            try:
                answer = self._carry_out(method, arguments, token)
                error = ""
            except SlackError as refused:
                answer, error = refused.answer, str(refused)
            self.ledger.append(Call(method, arguments, token, error, self.clock()))
            return answer

    def _carry_out(self, method: str, arguments: dict[str, Any], token: str) -> dict[str, Any]:
        known = self._methods()
        if method not in known:
            raise SlackError("unknown_method", req_method=method)
        if not token:
            raise SlackError("not_authed")
        wanted = self.app_token if method == "apps.connections.open" else self.token
        if token != wanted:
            raise SlackError("invalid_auth")
        return {"ok": True, **known[method](**_without_nothing(arguments))}

    def _methods(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {
            "apps.connections.open": self._connect,
            "auth.test": self._auth_test,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.open": self._open_conversation,
            "users.lookupByEmail": self._lookup,
            "views.open": self._open_view,
        }

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            provided = ",".join(self.scopes)
            raise SlackError("missing_scope", needed=scope, provided=provided)

    def _connect(self) -> dict[str, Any]:
        return {"url": self.socket_url}

    def _auth_test(self) -> dict[str, Any]:
        return {"team_id": self.team, "user_id": self.bot, "bot_id": "B0BOT", "user": "hitl"}

    def _post(
        self,
        *,
        channel: str = "",
        text: str = "",
        blocks: Any = None,
        metadata: Any = None,
        **more: Any,
    ) -> dict[str, Any]:
        self._need("chat:write")
        _known(more, {"mrkdwn", "parse", "link_names", "unfurl_links", "unfurl_media", "thread_ts"})
        place = self._reachable(channel)
        drawn = self._drawn(text, blocks)
        post = Posted(place, self._ts(), self.bot, text, drawn, _metadata(metadata))
        self.posts.append(post)
        return {"channel": place, "ts": post.ts, "message": self.as_json(post)}

    def _update(
        self,
        *,
        channel: str = "",
        ts: str = "",
        text: str = "",
        blocks: Any = None,
        metadata: Any = None,
        **more: Any,
    ) -> dict[str, Any]:
        self._need("chat:write")
        _known(more, {"parse", "link_names"})
        post = self.find(channel, ts)
        if post.user != self.bot:
            raise SlackError("cant_update_message")
        drawn = self._drawn(text, blocks)
        post.history.append(post.blocks)
        post.text, post.blocks = text, drawn
        # Without a word about metadata the old stays; an empty object takes it away.
        post.metadata = post.metadata if metadata is None else _metadata(metadata)
        return {"channel": channel, "ts": ts, "text": text}

    def _post_ephemeral(
        self, *, channel: str = "", user: str = "", text: str = "", blocks: Any = None
    ) -> dict[str, Any]:
        self._need("chat:write")
        place = self._reachable(channel)
        if user not in self.conversations[place].members:
            raise SlackError("user_not_in_channel")
        post = Posted(place, self._ts(), self.bot, text, self._drawn(text, blocks), None, user)
        self.ephemerals.append(post)
        return {"message_ts": post.ts}

    def _open_conversation(self, *, users: str = "") -> dict[str, Any]:
        self._need("im:write")
        if users not in self.people:
            raise SlackError("user_not_found")
        return {"channel": {"id": self.direct(users)}}

    def _history(
        self,
        *,
        channel: str = "",
        oldest: str = "0",
        limit: str = "100",
        cursor: str = "",
        include_all_metadata: str = "0",
        inclusive: str = "0",
    ) -> dict[str, Any]:
        self._need("im:history" if channel.startswith("D") else "channels:history")
        place = self._reachable(channel)
        found = [post for post in reversed(self.posts) if post.channel == place]
        since = [post for post in found if float(post.ts) >= float(oldest)]
        start = int(cursor.removeprefix("cursor-") or 0)
        end = start + int(limit)
        page = [self.as_json(post, metadata=_is_true(include_all_metadata)) for post in since]
        more = {"next_cursor": f"cursor-{end}"} if end < len(since) else {"next_cursor": ""}
        is_cut = end < len(since)
        return {"messages": page[start:end], "has_more": is_cut, "response_metadata": more}

    def _lookup(self, *, email: str = "") -> dict[str, Any]:
        self._need("users:read.email")
        for person in self.people.values():
            if person.email.lower() == email.lower():
                names = {"id": person.id, "team_id": person.team, "deleted": person.deleted}
                return {"user": names | {"is_bot": person.is_bot}}
        raise SlackError("users_not_found")

    def _open_view(self, *, trigger_id: str = "", view: Any = None) -> dict[str, Any]:
        user, made = self.triggers.get(trigger_id, ("", 0.0))
        if not user:
            raise SlackError("invalid_trigger_id")
        if self.clock() - made > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        parsed = json.loads(view) if isinstance(view, str) else view
        problems = block_kit.check_view(parsed)
        if problems:
            raise SlackError("invalid_arguments", response_metadata={"messages": problems})
        self.triggers[trigger_id] = ("", 0.0)  # exchanged: good for one view
        number = next(self._numbers)
        opened = View(f"V{number:08d}", f"{int(self.clock())}.{number}", user, parsed)
        self.views.append(opened)
        return {"view": {"id": opened.id, "hash": opened.hash, "type": "modal"}}

    # --- what people's clients do ---------------------------------------------------------------

    def trigger(self, user: str) -> str:
        """A trigger id for somebody who just pressed something."""
        with self._lock:
            trigger = f"{next(self._numbers)}.{secrets.token_hex(8)}"
            self.triggers[trigger] = (user, self.clock())
            return trigger

    def response_url(self, post: Posted, user: str) -> str:
        """An address where the app may answer five times within half an hour."""
        token = secrets.token_urlsafe(16)
        self.response_urls[token] = ResponseUrl(post, user, self.clock())
        return f"{self.url}/actions/{self.team}/{token}"

    def respond(self, token: str, given: dict[str, Any]) -> tuple[int, str]:
        """What posting to a response_url does: status and body."""
        with self._lock:
            known = self.response_urls.get(token)
            status, body, error = 404, "no_service", "no_service"
            if known and known.uses >= RESPONSE_USES:
                status, body, error = 404, '{"ok":false,"error":"used_url"}', "used_url"
            elif known and self.clock() - known.created > RESPONSE_SECONDS:
                status, body, error = 404, '{"ok":false,"error":"expired_url"}', "expired_url"
            elif known:
                status, body, error = self._respond(known, given)
            self.ledger.append(Call("response_url", given, token, error, self.clock()))
            return status, body

    def _respond(self, known: ResponseUrl, given: dict[str, Any]) -> tuple[int, str, str]:
        blocks = given.get("blocks")
        if blocks is not None and block_kit.check(blocks):
            return 400, "invalid_blocks", "invalid_blocks"
        known.uses += 1
        text, place = str(given.get("text", "")), known.post.channel
        # Left out, Slack takes replace_original for true: the message would be gone.
        if given.get("replace_original", True):
            known.post.blocks = blocks or []
        elif given.get("response_type") == "ephemeral":
            said = Posted(place, self._ts(), self.bot, text, blocks or [], None, known.user)
            self.ephemerals.append(said)
        else:
            self.posts.append(Posted(place, self._ts(), self.bot, text, blocks or []))
        return 200, "ok", ""

    # --- helpers --------------------------------------------------------------------------------

    def find(self, channel: str, ts: str) -> Posted:
        for post in self.posts:
            if (post.channel, post.ts) == (channel, ts):
                return post
        raise SlackError("message_not_found")

    def as_json(self, post: Posted, *, metadata: bool = True) -> dict[str, Any]:
        """A message as Slack hands it out: some characters are entities by then."""
        shown = {
            "type": "message",
            "user": post.user,
            "bot_id": "B0BOT" if post.user == self.bot else "",
            "ts": post.ts,
            "text": post.text,
            "blocks": _escaped(post.blocks),
        }
        return shown | ({"metadata": post.metadata} if metadata and post.metadata else {})

    def _reachable(self, channel: str) -> str:
        if channel in self.people:
            channel = self.direct(channel)
        conversation = self.conversations.get(channel)
        if conversation is None:
            raise SlackError("channel_not_found")
        if conversation.is_archived:
            raise SlackError("is_archived")
        if self.bot not in conversation.members:
            raise SlackError("not_in_channel")
        return channel

    def _drawn(self, text: str, blocks: Any) -> list[dict[str, Any]]:
        if blocks is None and not text:
            raise SlackError("no_text")
        if blocks is None:
            return []
        parsed = json.loads(blocks) if isinstance(blocks, str) else blocks
        problems = block_kit.check(parsed)
        if problems:
            raise SlackError("invalid_blocks", response_metadata={"messages": problems})
        if block_kit.is_too_long(parsed):
            raise SlackError("msg_blocks_too_long")
        return [
            {**block, "block_id": block.get("block_id") or self._block_id()} for block in parsed
        ]

    def _block_id(self) -> str:
        return f"b{next(self._numbers)}"

    def _ts(self) -> str:
        return f"{int(self.clock())}.{next(self._numbers):06d}"


def _metadata(given: Any) -> dict[str, Any] | None:
    parsed = json.loads(given) if isinstance(given, str) else given
    if not parsed:
        return None
    event_type, event = parsed.get("event_type"), parsed.get("event_payload")
    is_named = isinstance(event_type, str) and event_type.replace("_", "").isalnum()
    if not is_named or not isinstance(event, dict) or set(parsed) - {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    return dict(parsed)


def _known(given: dict[str, Any], names: set[str]) -> None:
    if set(given) - names:
        raise SlackError("invalid_arguments", unknown=sorted(set(given) - names))


def _without_nothing(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _is_true(given: Any) -> bool:
    return str(given).lower() in ("1", "true")


def _escaped(of: Any) -> Any:
    """Slack stores &, < and > in texts as entities, and hands them out like that."""
    if isinstance(of, list):
        return [_escaped(each) for each in of]
    if not isinstance(of, dict):
        return of
    return {
        name: value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if name == "text" and isinstance(value, str) and of.get("type") == "plain_text"
        else _escaped(value)
        for name, value in of.items()
    }
