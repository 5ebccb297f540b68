"""A real mail server for whoever asks, and a request whose mail is waiting."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from deliveries.models import Delivery
from hitl.accounts.models import Agent
from tests.deliveries.smtp import MailServer, mail_server
from tests.workflows.factories import make_workflow


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


@pytest.fixture
def delivery(agent: Agent) -> Delivery:
    """The mail to the approver about one pending request."""
    return Delivery.objects.get(workflow=make_workflow(agent))
