"""The cast as callers of the API."""

import pytest

from hitl.accounts.models import User
from tests.workflows.api.callers import Caller, as_user, with_token


@pytest.fixture
def bot(api_key: str) -> Caller:
    """The agent of the cast, by API key."""
    return with_token(api_key)


@pytest.fixture
def ann(approver: User) -> Caller:
    """The approver, by JWT."""
    return as_user(approver)


@pytest.fixture
def nobody(db: None) -> Caller:
    """Somebody without credentials."""
    return Caller()
