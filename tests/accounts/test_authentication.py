"""Credentials as they arrive over HTTP: what is accepted, and all that is not."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.test import Client
from django.utils import timezone

from hitl.accounts import keys
from hitl.accounts.models import Agent, ApiKey, User
from hitl.accounts.services import issue_agent_token, issue_key, issue_user_token, revoke_key

READ = "/api/v1/workflows"
DECIDE = f"{READ}/{uuid4()}/decide"
HOUR = dt.timedelta(hours=1)


def get(headers: dict[str, str] | None = None, **cookies: str) -> Any:
    client = Client(raise_request_exception=False)
    for name, value in cookies.items():
        client.cookies[name] = value
    return client.get(READ, headers=headers or {})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(subject: Any, **changes: Any) -> dict[str, Any]:
    return {"sub": subject, "exp": timezone.now() + HOUR} | changes


def signed(content: dict[str, Any], *, secret: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(content, secret or settings.JWT_SECRET, algorithm=algorithm)


def refused(answer: Any) -> bool:
    return bool(
        answer.status_code == 401
        and answer.json()["code"] == "unauthenticated"
        and answer.headers["WWW-Authenticate"] == 'Bearer realm="hitl"'
    )


class TestNobody:
    def test_is_asked_for_credentials(self, db: None) -> None:
        assert refused(get())

    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "hitl_agt_x", "Bearer\thitl"]
    )
    def test_other_schemes_are_refused(self, db: None, header: str) -> None:
        assert refused(get({"Authorization": header}))


class TestApiKey:
    def test_comes_in_either_header(self, api_key: str) -> None:
        assert get(bearer(api_key)).status_code == 200
        assert get({"X-API-Key": api_key}).status_code == 200
        assert get({"Authorization": f"bEARER  {api_key} "}).status_code == 200

    def test_two_credentials_at_once_are_refused(self, api_key: str, agent: Agent) -> None:
        other = issue_agent_token(agent)
        assert refused(get({"X-API-Key": api_key} | bearer(api_key)))
        assert refused(get({"X-API-Key": api_key} | bearer(other)))

    @pytest.mark.parametrize(
        "key", ["", "x", keys.PREFIX, keys.generate(), "é" * 20, "x" * 5000, "a b"]
    )
    def test_unknown_keys_are_refused(self, db: None, key: str) -> None:
        assert refused(get({"X-API-Key": key}))

    def test_a_key_in_the_cookie_is_no_token(self, api_key: str) -> None:
        assert refused(get(accessToken=api_key))

    def test_revocation_works_at_once(self, agent: Agent) -> None:
        row, key = issue_key(agent)
        assert get(bearer(key)).status_code == 200
        revoke_key(row)
        assert refused(get(bearer(key)))

    def test_expired_keys_are_refused(self, agent: Agent) -> None:
        past = timezone.now() - dt.timedelta(seconds=1)
        assert refused(get(bearer(issue_key(agent, expires_at=past)[1])))

    def test_keys_of_inactive_agents_are_refused(self, agent: Agent, api_key: str) -> None:
        Agent.objects.update(is_active=False)
        assert refused(get(bearer(api_key)))

    def test_its_use_is_noted_once_a_minute(self, agent: Agent) -> None:
        row, key = issue_key(agent)
        get(bearer(key))
        first = ApiKey.objects.get(pk=row.pk).last_used_at
        get(bearer(key))
        assert first is not None
        assert ApiKey.objects.get(pk=row.pk).last_used_at == first

    def test_nothing_stored_authenticates(self, agent: Agent) -> None:
        row, _ = issue_key(agent)
        assert refused(get(bearer(row.digest)))
        assert refused(get({"X-API-Key": row.prefix}))


class TestJwt:
    def test_names_an_agent_or_a_person(self, agent: Agent, approver: User) -> None:
        assert get(bearer(issue_agent_token(agent))).status_code == 200
        assert get(bearer(issue_user_token(approver))).status_code == 200
        assert get(accessToken=issue_user_token(approver)).status_code == 200

    def test_unsigned_tokens_are_refused(self, approver: User) -> None:
        token = (
            _by_hand({"alg": "none"}, claims(f"user:{approver.pk}"), key=b"").rpartition(".")[0]
            + "."
        )
        assert refused(get(bearer(token)))
        assert refused(get(bearer(token + "x")))
        assert refused(get(accessToken=token))

    def test_other_algorithms_are_refused(self, approver: User) -> None:
        content = claims(f"user:{approver.pk}")
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert refused(get(bearer(jwt.encode(content, private, algorithm="RS256"))))
        assert refused(
            get(bearer(signed(content, secret=settings.JWT_SECRET * 2, algorithm="HS512")))
        )
        header = {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "AAAA"}}
        assert refused(get(bearer(_by_hand(header, content, key=public))))

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": timezone.now() - HOUR}, {"exp": None}, {"exp": "soon"},
            {"exp": float("inf")}, {"nbf": timezone.now() + HOUR}, {"iat": "yesterday"},
            {"sub": None}, {"sub": 7}, {"sub": ""}, {"sub": "user"}, {"sub": "user:"},
            {"sub": "user:1"}, {"sub": f"user:{uuid4()}"}, {"sub": f"agent:{uuid4()}"},
            {"sub": f"team:{uuid4()}"}, {"aud": "somebody else"},
        ],
    )  # fmt: skip
    def test_doubtful_claims_are_refused(self, approver: User, changes: dict[str, Any]) -> None:
        content = {
            name: value
            for name, value in claims(f"user:{approver.pk}", **changes).items()
            if value is not None
        }
        token = _by_hand({"alg": "HS256"}, content, key=settings.JWT_SECRET.encode())
        assert refused(get(bearer(token)))

    def test_another_secret_is_refused(self, approver: User) -> None:
        content = claims(f"user:{approver.pk}")
        assert refused(get(bearer(signed(content, secret="another-secret-of-32-characters!!"))))
        assert refused(get(bearer(signed(content, secret=settings.SECRET_KEY))))

    @pytest.mark.parametrize("opening", ["[", '{"alg":'])
    def test_hostile_headers_are_refused(self, db: None, opening: str) -> None:
        header = base64.urlsafe_b64encode(opening.encode() * 3000).decode().rstrip("=")
        assert refused(get(bearer(f"{header}.e30.x")))

    def test_people_without_an_account_any_more_are_refused(
        self, approver: User, agent: Agent
    ) -> None:
        person, program = issue_user_token(approver), issue_agent_token(agent)
        User.objects.update(is_active=False)
        Agent.objects.update(is_active=False)
        assert refused(get(bearer(person)))
        assert refused(get(bearer(program)))


class TestCookies:
    """Browsers send cookies on their own, so unsafe methods need a CSRF token."""

    @pytest.fixture(params=["session", "accessToken"])
    def browser(self, request: Any, approver: User) -> Client:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        if request.param == "session":
            client.force_login(approver)
        else:
            client.cookies["accessToken"] = issue_user_token(approver)
        return client

    def test_reading_needs_no_token(self, browser: Client) -> None:
        assert browser.get(READ).status_code == 200

    @pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
    def test_cross_site_posts_are_refused(self, browser: Client, kind: str) -> None:
        answer = browser.post(DECIDE, "{}", content_type=kind)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    def test_a_token_lets_the_post_through(self, browser: Client) -> None:
        token = "a" * 32
        browser.cookies["csrftoken"] = token
        answer = browser.post(
            DECIDE, "{}", content_type="application/json", headers={"X-CSRFToken": token}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "validation")

    def test_foreign_origins_are_refused(self, browser: Client) -> None:
        token = "a" * 32
        browser.cookies["csrftoken"] = token
        headers = {"X-CSRFToken": token, "Origin": "https://evil.example"}
        answer = browser.post(DECIDE, "{}", content_type="application/json", headers=headers)
        assert answer.status_code == 403

    def test_a_wrong_cookie_is_not_passed_over_for_the_session(self, approver: User) -> None:
        client = Client()
        client.force_login(approver)
        client.cookies["accessToken"] = "nonsense"
        assert refused(client.get(READ))

    def test_an_emptied_cookie_is_none(self, approver: User) -> None:
        client = Client()
        client.force_login(approver)
        client.cookies["accessToken"] = ""
        assert client.get(READ).status_code == 200

    def test_a_header_needs_no_csrf_token(self, browser: Client, approver: User) -> None:
        answer = browser.post(
            DECIDE,
            "{}",
            content_type="application/json",
            headers=bearer(issue_user_token(approver)),
        )
        assert answer.status_code == 400


def _by_hand(header: dict[str, Any], content: dict[str, Any], *, key: bytes) -> str:
    """A token that no library would make."""

    def encode(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    body = {k: v.timestamp() if isinstance(v, dt.datetime) else v for k, v in content.items()}
    start = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(body).encode())}"
    return f"{start}.{encode(hmac.digest(key, start.encode(), hashlib.sha256))}"
