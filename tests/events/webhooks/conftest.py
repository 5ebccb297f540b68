"""An endpoint of the team at a receiver that really listens, and what is needed to reach it."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from hitl.accounts.models import Team
from tests.events.webhooks.hooks import Hook, make_hook
from tests.receiver import Receiver
from tests.receiver import receiver as running


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A receiver on loopback that the operator has permitted."""
    with running() as found:
        settings.OUTBOUND_ALLOW = [found.allow]
        settings.OUTBOUND_ALLOW_HTTP = True
        yield found


@pytest.fixture
def hook(team: Team, receiver: Receiver) -> Hook:
    """The team's endpoint, which wants everything."""
    return make_hook(team, receiver.url)
