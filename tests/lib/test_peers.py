"""Whose address it is: the peer's, or the one that trusted proxies heard; never a forged one."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from hitl import server
from hitl.accounts.checks import proxies_are_named
from hitl.lib import peers


def address(peer: str, forwarded: str = "") -> str:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return peers.address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))


@pytest.fixture
def proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = peers.parse_networks(["10.0.0.0/24", "2001:db8:ffff::1"])


def test_nobody_is_believed_unless_named() -> None:
    assert address("203.0.113.9", "198.51.100.1") == "203.0.113.9"
    assert address("127.0.0.1", "198.51.100.1") == "127.0.0.1"


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:ffff::1", "198.51.100.1", "198.51.100.1"),
        # Through two proxies of ours.
        ("10.0.0.5", "198.51.100.1, 10.0.0.6", "198.51.100.1"),
        # What the sender began the list with counts for nothing.
        ("10.0.0.5", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "10.0.0.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "<script>, 198.51.100.1, 10.0.0.6", "198.51.100.1"),
        # A stranger may say what it likes.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        # As some proxies write it.
        ("10.0.0.5", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.5", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.5", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.5", "::ffff:198.51.100.1", "198.51.100.1"),
        # Nothing to go by.
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "unknown", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1, unknown", "10.0.0.5"),
        # A Unix socket.
        ("", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_list_is_read_from_its_end(peer: str, forwarded: str, found: str) -> None:
    assert address(peer, forwarded) == found


@pytest.mark.usefixtures("proxies")
def test_an_endless_list_is_not_read_to_its_beginning() -> None:
    assert address("10.0.0.5", ", ".join(["10.0.0.6"] * 5000)) == "10.0.0.6"
    assert address("10.0.0.5", "1.1.1.1, " + ", ".join(["10.0.0.6"] * 5000)) == "10.0.0.6"


@pytest.mark.parametrize(
    ("peer", "whose"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("somewhere", "somewhere"),
    ],
)
def test_a_household_is_one(peer: str, whose: str) -> None:
    assert peers.network(RequestFactory().get("/", REMOTE_ADDR=peer)) == whose


@pytest.mark.parametrize("text", ["proxy.example.com", "10.0.0.0/33", ""])
def test_only_addresses_can_be_trusted(text: str) -> None:
    with pytest.raises(ValueError, match="appear"):
        peers.parse_networks([text])


def test_the_server_in_front_of_us_believes_nobody_by_itself() -> None:
    assert server.config(grace=1).proxy_headers is False


def test_a_proxy_that_nobody_named_is_noticed(settings: Settings) -> None:
    assert proxies_are_named() == []
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert [each.id for each in proxies_are_named()] == ["accounts.W001"]
    settings.TRUSTED_PROXIES = peers.parse_networks(["10.0.0.5"])
    assert proxies_are_named() == []
