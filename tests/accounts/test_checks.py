"""System checks of names and proxies."""

import pytest
from django.core.checks import Error, run_checks
from pytest_django import Settings

from hitl.accounts.checks import hosts_are_named


@pytest.mark.parametrize("hosts", [["*"], ["approvals.example.com", "*"]])
def test_a_wildcard_of_hosts_stops_the_start(settings: Settings, hosts: list[str]) -> None:
    settings.ALLOWED_HOSTS = hosts
    found = [each for each in run_checks() if each.id == "accounts.E001"]
    assert [isinstance(each, Error) for each in found] == [True]


def test_named_hosts_and_a_developers_machine_are_fine(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["approvals.example.com", ".example.org"]
    assert hosts_are_named() == []
    settings.ALLOWED_HOSTS, settings.DEBUG = ["*"], True
    assert hosts_are_named() == []
