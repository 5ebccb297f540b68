"""Tests of hitl/lib/http/addresses.py."""

from ipaddress import ip_network

import pytest

from hitl.lib.http import addresses
from tests.lib.http.literals import FORBIDDEN_ADDRESSES, FORBIDDEN_NAMES, PUBLIC_ADDRESSES


@pytest.mark.parametrize("literal", FORBIDDEN_ADDRESSES)
def test_addresses_off_the_public_internet_are_forbidden(literal: str) -> None:
    assert addresses.is_forbidden(addresses.parse_address(literal))


@pytest.mark.parametrize("literal", PUBLIC_ADDRESSES)
def test_public_addresses_are_not(literal: str) -> None:
    assert not addresses.is_forbidden(addresses.parse_address(literal))


def test_every_forbidden_network_is_forbidden_from_end_to_end() -> None:
    for network in addresses.FORBIDDEN_NETWORKS:
        assert addresses.is_forbidden(network[0])
        assert addresses.is_forbidden(network[-1])


@pytest.mark.parametrize("name", FORBIDDEN_NAMES)
def test_local_and_metadata_names_are_forbidden(name: str) -> None:
    assert addresses.is_forbidden_name(name.lower())


def test_the_operator_opens_a_network_and_nothing_beside_it() -> None:
    listed = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/64")]
    assert not addresses.is_forbidden(addresses.parse_address("10.1.2.3"), listed)
    assert not addresses.is_forbidden(addresses.parse_address("::ffff:10.1.2.3"), listed)
    assert not addresses.is_forbidden(addresses.parse_address("fd00:1::5"), listed)
    assert addresses.is_forbidden(addresses.parse_address("10.2.0.1"), listed)
    assert addresses.is_forbidden(addresses.parse_address("fd00:2::5"), listed)


@pytest.mark.parametrize(
    "entry", ["executor", "executor:8080", "10.0.0.1", "10.0.0.0/99", "a/b", ""]
)
def test_what_is_no_network_permits_none(entry: str) -> None:
    assert addresses.parse_network(entry) is None
