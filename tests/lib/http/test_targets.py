"""Tests of hitl/lib/http/targets.py: one strict reading of a URL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.lib.errors import InvalidInput
from hitl.lib.http import Rules, check_url
from tests.lib.http.literals import (
    DISGUISED_HOSTS,
    FORBIDDEN_ADDRESSES,
    FORBIDDEN_NAMES,
    PUBLIC_ADDRESSES,
)


def bracketed(host: str) -> str:
    """The host as a URL spells it."""
    return f"[{host}]" if ":" in host else host


@pytest.mark.parametrize("host", [*FORBIDDEN_ADDRESSES, *DISGUISED_HOSTS, *FORBIDDEN_NAMES])
@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_hosts_off_the_public_internet_are_refused(host: str, port: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_url(f"https://{bracketed(host)}{port}/hook")
    assert caught.value.errors[0].code == "url"


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1\\@example.com/",
        "https:\\\\example.com/",
        "https://example.com\\.evil.test/",
        "https://exam\tple.com/",
        "https://exam\nple.com/",
        "https://example.com/\r\nX: y",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/a b",
        "https://example.com/\x00",
        "https://example.com\u3000/",
        "https://example.com\u00a0/",
        "https://example.com\u2028/",
        "https://127%2e0%2e0%2e1/",
        "https://%6c%6f%63%61lhost/",
        "https://example.com./",
        "https://example..com/",
        "https://.example.com/",
        "https://-example.com/",
        "https://example-.com/",
        "https://exa*mple.com/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://::1]/",
        "https://[::1]x/",
        "https://x[::1]/",
        "https://[127.0.0.1]/",
        "https://[v1.x]/",
        "https:///path",
        "https://",
        "https:example.com",
        "//example.com/",
        "example.com",
        "",
        "https://example.com/ü",
        "https://example.com/?q=ü",
        "https://example.com/#part",
        "https://exam\u200bple.com/",
        "https://xn--/",
        "https://\u2100.com/",
        "https://example.com/" + "a" * 3000,
    ],
)
def test_urls_that_readers_could_read_differently_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "ws://example.com/",
        "wss://example.com/",
        "http://example.com/",
        "javascript:alert(1)",
        "data:text/plain,x",
        *(f"https://example.com:{port}/" for port in (0, 22, 25, 80, 5432, 6379, 65536, 99999)),
        "https://example.com:-1/",
        "https://example.com:٤٤٣/",
        "https://example.com:443:443/",
        "https://example.com:0x1bb/",
    ],
)
def test_other_schemes_and_ports_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(url)


@pytest.mark.parametrize("host", PUBLIC_ADDRESSES)
def test_public_addresses_are_taken(host: str) -> None:
    assert check_url(f"https://{bracketed(host)}/").address is not None


def test_a_url_is_read_into_its_parts() -> None:
    target = check_url("HTTPS://Hooks.Example.COM:8443/a/b?c=d%20e")
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 8443)
    assert target.path == "/a/b?c=d%20e"
    assert target.authority == "hooks.example.com:8443"
    assert check_url("https://example.com").path == "/"
    assert check_url("https://example.com?a=b").path == "/?a=b"
    assert check_url("https://[2606:4700::1111]:443/").authority == "[2606:4700::1111]"


def test_international_names_become_ascii() -> None:
    assert check_url("https://BÜCHER.example/").host == "xn--bcher-kva.example"


def test_plain_http_and_port_80_need_the_switch() -> None:
    assert check_url("http://example.com/", allow_http=True).port == 80
    assert check_url("https://example.com/", allow_http=True).port == 443
    with pytest.raises(InvalidInput, match="80"):
        check_url("https://example.com:80/")


def test_ports_can_be_configured() -> None:
    assert check_url("https://example.com:9000/", allowed_ports={9000}).port == 9000
    with pytest.raises(InvalidInput, match="Port 443 is not permitted"):
        check_url("https://example.com/", allowed_ports={9000})


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://executor:8080/", {"allow_hosts": ["executor:8080"]}),
        ("https://executor/", {"allow_hosts": ["executor"]}),
        ("https://Executor/", {"allow_hosts": ["EXECUTOR"]}),
        ("https://10.0.0.5:9000/", {"allow_hosts": ["10.0.0.5:9000"]}),
        ("https://[fd00::5]:9000/", {"allow_hosts": ["[fd00::5]:9000"]}),
        ("https://[fd00::5]/", {"allow_hosts": ["fd00::5"]}),
        ("https://10.0.0.5/", {"allow_networks": ["10.0.0.0/24"]}),
        ("https://executor:8080/", {"allow_networks": ["10.0.0.0/24", "executor:8080"]}),
        ("https://10.0.0.5/", {"allow_hosts": ["executor:8080", "10.0.0.0/24"]}),
    ],
)
def test_what_the_operator_lists_is_taken(url: str, rules: Rules) -> None:
    assert check_url(url, **rules).path == "/"


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://executor:9000/", {"allow_hosts": ["executor:8080"]}),
        ("https://executor:9000/", {"allow_hosts": ["executor"]}),
        ("https://executor.evil.test:8080/", {"allow_hosts": ["executor:8080"]}),
        ("http://executor:8080/", {"allow_hosts": ["executor:8080"]}),
        ("https://10.0.1.5/", {"allow_networks": ["10.0.0.0/24"]}),
        ("https://10.0.0.5:9000/", {"allow_networks": ["10.0.0.0/24"]}),
        ("https://10.0.0.5/", {"allow_networks": ["10.0.0.0/99", "nonsense", ""]}),
    ],
)
def test_what_is_beside_the_listed_is_not(url: str, rules: Rules) -> None:
    with pytest.raises(InvalidInput):
        check_url(url, **rules)


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/", f"https://example.com/{text}"):
        try:
            target = check_url(url)
        except InvalidInput:
            continue
        assert target.host.isascii()
        assert target.path.startswith("/")
        assert target.path.isprintable()
