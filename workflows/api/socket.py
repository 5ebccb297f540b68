"""The agents' socket, `/ws/v1/events/`: the feed as messages, from a cursor on.

Who connects proves who it is by header, by subprotocol or by the first message; people also by the
dashboard's session, on our own pages only. Never in the address, which is written into logs on its
way. The socket only tells: decisions go through the API.
"""

import asyncio
import contextlib
import logging
from collections import deque
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.http import parse_cookie
from django.utils.http import is_same_domain
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed

from events.feed import START, Position
from events.tails import Entry, Follower, Wanted, get_tails
from hitl.accounts import standing
from hitl.accounts.authentication import Known, by_secret, by_session
from hitl.accounts.models import User
from hitl.accounts.standing import READ, Listener
from hitl.lib import strict_json
from hitl.lib.errors import HitlError, InvalidInput
from hitl.lib.limits import TooOften
from workflows import selectors
from workflows.api import errors, queries
from workflows.api.event_serializers import as_json
from workflows.api.inner import Application, Message, Receive, Scope, Send, unless
from workflows.api.listening import get_room
from workflows.api.renderers import encode
from workflows.api.streaming import HEARTBEAT_SECONDS, LAST_WORD_SECONDS, SEND_SECONDS

logger = logging.getLogger(__name__)

PATHS = ("/ws/v1/events/", "/ws/v1/events")
PROTOCOL = "hitl.v1"
# A second entry in the list of subprotocols: both keys and JWTs are made of legal characters.
TOKEN_PROTOCOL = "hitl.token."  # noqa: S105  # a name
AUTHENTICATE_SECONDS = 10.0
MESSAGE_BYTES = 64 * 1024
MESSAGES_A_SECOND = 5

UNKNOWN = 4401
NOT_ALLOWED = 4403
NO_TEXT = 1003
REFUSED = 1008
TOO_BIG = 1009
BROKEN = 1011
RESTART = 1012


class Farewell(Exception):
    """Ends the connection with a code and a sentence (at most 123 bytes, RFC 6455, 5.5)."""

    def __init__(self, code: int, says: str) -> None:
        self.code, self.says = code, says
        super().__init__(says)


class _Gone(Exception):
    """The client has left."""


class Subscription(queries.Query):
    """What the client wants to hear, and from where on."""

    after = queries.Cursor(required=False)
    types = serializers.ListField(
        child=queries.event_type(), required=False, max_length=queries.MAX_TYPES
    )
    workflowId = queries.Id(required=False)


class AgentSocket:
    """ASGI application for sockets that keeps the feed's path and passes on the others."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PATHS:
            await self.application(scope, receive, send)
            return
        # The server writes the address into its log when the handshake is over.
        query, scope["query_string"] = scope["query_string"], b""
        await _Talk(scope, receive, send).hold(has_query=bool(query))


class _Talk:
    """One connection, from the handshake to its end."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        self._protocols: list[str] = scope["subprotocols"]
        self._heard: deque[float] = deque(maxlen=MESSAGES_A_SECOND)
        self._following: asyncio.Task[None] | None = None
        self._over: asyncio.Future[Farewell] = asyncio.get_running_loop().create_future()

    async def hold(self, *, has_query: bool) -> None:
        """Talk until one of the two has enough."""
        await self._receive()  # websocket.connect
        if not self._is_welcome():
            await self._send({"type": "websocket.close"})
            return
        protocol = PROTOCOL if PROTOCOL in self._protocols else None
        try:
            await self._send({"type": "websocket.accept", "subprotocol": protocol})
            if has_query:
                raise Farewell(
                    REFUSED, "This address takes no parameters: send credentials in a header."
                )
            await self._serve(await self._identify())
        except Farewell as farewell:
            await self._close(farewell)
        except (_Gone, OSError):
            pass  # it went away, perhaps in the middle of a word
        except Exception:
            logger.warning("an agent's socket broke", exc_info=True)
            await self._close(Farewell(BROKEN, "Something broke on our side: connect again."))

    def _is_welcome(self) -> bool:
        """Whether the page that opens the socket is ours; agents have no page, and no cookies."""
        origin = self._header("origin")
        if origin is None:
            return True
        try:
            parts = urlsplit(origin)
            host = (parts.hostname or "").rstrip(".")
        except ValueError:
            return False
        ours = [name for name in settings.ALLOWED_HOSTS if name != "*"]
        is_web = parts.scheme in ("http", "https")
        return is_web and any(is_same_domain(host, name) for name in ours)

    # --- Who is there ----------------------------------------------------------------------------

    async def _identify(self) -> Listener:
        secrets = self._secrets()
        if len(secrets) > 1:
            raise Farewell(UNKNOWN, "Send one credential, in one place.")
        session = self._session()
        found: Listener | None = None
        if session and not secrets:
            found = await _by_session(session)
        if found is None:
            found = await _by_secret(secrets[0] if secrets else await self._secret_said())
        return found

    def _secrets(self) -> list[str]:
        """The credentials of the handshake."""
        found = []
        bearer, key = self._header("authorization"), self._header("x-api-key")
        if bearer is not None:
            scheme, _, token = bearer.partition(" ")
            if scheme.lower() != "bearer":
                raise Farewell(UNKNOWN, "Send `Authorization: Bearer` and a key or a token.")
            found.append(token.strip())
        if key is not None:
            found.append(key)
        found += [
            name.removeprefix(TOKEN_PROTOCOL)
            for name in self._protocols
            if name.startswith(TOKEN_PROTOCOL)
        ]
        return found

    def _session(self) -> str:
        """The dashboard's session, where one of our own pages connects."""
        if self._header("origin") is None:
            return ""
        cookies = parse_cookie(self._header("cookie") or "")
        return cookies.get(settings.SESSION_COOKIE_NAME, "")

    async def _secret_said(self) -> str:
        """The token of the first message."""
        try:
            async with asyncio.timeout(AUTHENTICATE_SECONDS):
                said = await self._hear()
        except TimeoutError:
            raise Farewell(UNKNOWN, "Nobody has said who is there.") from None
        except InvalidInput as error:
            raise Farewell(UNKNOWN, _short(error.detail)) from None
        token = said.get("token")
        if said.get("type") != "authenticate" or not isinstance(token, str):
            raise Farewell(UNKNOWN, 'Say first: {"type": "authenticate", "token": "…"}')
        return token

    def _header(self, name: str) -> str | None:
        value: bytes | None = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    # --- What is said ----------------------------------------------------------------------------

    async def _serve(self, listener: Listener) -> None:
        try:
            with get_room().seat(listener) as seat:
                try:
                    await unless(unless(self._converse(listener), self._over), seat.ended)
                finally:
                    await self._stop_following()
        except TooOften as error:
            raise Farewell(REFUSED, error.detail) from None
        if self._over.done():
            raise self._over.result()
        objection = seat.ended.result()
        if objection is None:
            raise Farewell(RESTART, "The server restarts: connect again.")
        raise Farewell(UNKNOWN if objection.is_unknown else NOT_ALLOWED, objection.says)

    async def _converse(self, listener: Listener) -> None:
        await self._say({"type": "ready"})
        while True:
            try:
                await self._answer(await self._hear(), listener)
            except HitlError as error:
                await self._say(_problem(error))

    async def _answer(self, said: dict[str, Any], listener: Listener) -> None:
        match said.get("type"):
            case "ping":
                await self._say({"type": "pong"})
            case "subscribe":
                after, wanted = _subscription(said)
                await self._stop_following()
                work = self._follow(listener, after, wanted)
                self._following = asyncio.create_task(work, name="agent-socket")
            case "authenticate":
                raise InvalidInput("Who you are is known already.")
            case _:
                raise InvalidInput("Say `subscribe` or `ping`.")

    async def _hear(self) -> dict[str, Any]:
        """The next message. Raises InvalidInput for what is no object, and ends a flood."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise _Gone
        now = asyncio.get_running_loop().time()
        if len(self._heard) == MESSAGES_A_SECOND and now - self._heard[0] < 1:
            raise Farewell(REFUSED, f"At most {MESSAGES_A_SECOND} messages a second.")
        self._heard.append(now)
        return _parse(message)

    # --- What is told ----------------------------------------------------------------------------

    async def _follow(self, listener: Listener, after: Position | None, wanted: Wanted) -> None:
        """Tell what happens; whatever ends it ends the talk."""
        try:
            async with get_tails().follow(listener.teams, after, wanted) as follower:
                await self._tell(follower)
        except TimeoutError:
            logger.info("a socket was left: its client does not read")
            self._end(Farewell(REFUSED, "You do not read what is sent."))
        except OSError:
            pass  # it went away; that is heard, too
        except Exception:
            logger.warning("a socket's feed broke", exc_info=True)
            self._end(Farewell(BROKEN, "Something broke on our side: connect again."))

    async def _tell(self, follower: Follower) -> None:
        told = follower.position
        await self._say({"type": "subscribed", "cursor": str(told)})
        while True:
            found = await follower.next_within(HEARTBEAT_SECONDS)
            at = follower.position
            for entry in found:
                await self._say_text(_event(entry))
            if not found and told != at:
                await self._say({"type": "cursor", "cursor": str(at)})
            told = at

    async def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None

    def _end(self, farewell: Farewell) -> None:
        if not self._over.done():
            self._over.set_result(farewell)

    async def _say(self, content: dict[str, Any]) -> None:
        await self._say_text(encode(content))

    async def _say_text(self, text: str) -> None:
        """Raises TimeoutError where the client has not read enough of what came before."""
        async with asyncio.timeout(SEND_SECONDS):
            await self._send({"type": "websocket.send", "text": text})

    async def _close(self, farewell: Farewell) -> None:
        close = {"type": "websocket.close", "code": farewell.code, "reason": farewell.says}
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await self._send(close)


# A thread for the length of the queries; the connection goes back afterwards.
@partial(database_sync_to_async, thread_sensitive=False)
def _by_secret(secret: str) -> Listener:
    try:
        known = by_secret(secret)
    except AuthenticationFailed as error:
        raise Farewell(UNKNOWN, _short(str(error.detail))) from None
    return _listener(known)


@partial(database_sync_to_async, thread_sensitive=False)
def _by_session(session_key: str) -> Listener | None:
    known = by_session(session_key)
    return None if known is None else _listener(known)


def _listener(known: Known) -> Listener:
    """The listener. Raises Farewell where the credential is for something else."""
    principal, credential = known
    if not isinstance(principal, User) and READ not in credential.scopes:
        raise Farewell(NOT_ALLOWED, "This API key lacks the scope `read`.")
    return standing.listener(principal, credential, selectors.teams_of(principal))


def _parse(message: Message) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise Farewell(NO_TEXT, "Send text messages.")
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > MESSAGE_BYTES:
        raise Farewell(TOO_BIG, f"At most {MESSAGE_BYTES} bytes a message.")
    said = strict_json.loads(raw, max_bytes=MESSAGE_BYTES)
    if not isinstance(said, dict):
        raise InvalidInput("Send an object.")
    return said


def _subscription(said: dict[str, Any]) -> tuple[Position | None, Wanted]:
    """From where on, and what. Raises InvalidInput naming each field that is unknown or wrong."""
    wish = Subscription(data={name: value for name, value in said.items() if name != "type"})
    if not wish.is_valid():
        found = list(errors.field_errors(wish.errors))
        raise InvalidInput(f"At {found[0].pointer}: {found[0].message}", found)
    values = wish.validated_data
    types = values.get("types")
    wanted = Wanted(None if types is None else frozenset(types), values.get("workflowId"))
    return values.get("after", START), wanted


def _event(entry: Entry) -> str:
    """The entry's message, made once for all sockets."""
    text = entry.texts.get("message")
    if text is None:
        text = f'{{"type":"event","cursor":"{entry.position}","event":{as_json(entry)}}}'
        entry.texts["message"] = text
    return text


def _problem(error: HitlError) -> dict[str, Any]:
    found = [{"pointer": each.pointer, "message": each.message} for each in error.errors]
    return {"type": "error", "code": error.code, "detail": error.detail, "errors": found}


def _short(sentence: str) -> str:
    """What fits into a close frame."""
    return sentence.encode()[:120].decode(errors="ignore")
