"""The cast: a team with an approver, a colleague, a manager and a viewer; a stranger; an agent."""

import re
from collections.abc import Iterator

import hypothesis
import pytest
from django.core.cache import cache
from django.db import connection
from pytest_django import DjangoDbBlocker

from events import postgres
from hitl.accounts import keys
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member, issue_key
from hitl.operate import watch
from tests.accounts.factories import AgentFactory, TeamFactory, UserFactory

# Machines are busy at times: how long one example takes says nothing about the code.
hypothesis.settings.register_profile(
    "suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

_RANDOM = re.compile(rf"{keys.PREFIX}\w|[0-9a-f]{{8}}-[0-9a-f]{{4}}-", re.IGNORECASE)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name random and endless values after their argument: workers must agree on the names."""
    random = isinstance(val, str) and (len(val) > 60 or _RANDOM.search(val) is not None)
    return argname if random else None


# Run on SQLite only: what they look at does not depend on the database, and they are many.
ONCE = (
    "tests/test_fuzz.py",
    "tests/dashboard/test_consumers.py",
    "tests/dashboard/test_insights",
    "tests/dashboard/test_sandbox",
    "tests/dashboard/test_hostile_text",
    "tests/dashboard/test_pages_in_general",
    "tests/workflows/api/test_isolation",
    "tests/workflows/api/test_socket.py",
    "tests/workflows/api/test_views.py",
    "tests/workflows/api/test_receipts",
    "tests/workflows/test_callbacks.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On SQLite, tests of row locks and triggers step aside; on PostgreSQL, those without a
    database do, and those that do not depend on which it is: they have run already."""
    if connection.vendor == "postgresql":
        kept = [item for item in items if _uses_database(item)]
        config.hook.pytest_deselected(items=[each for each in items if not _uses_database(each)])
        items[:] = kept
        return
    skip = pytest.mark.skip(reason="needs PostgreSQL: make test-postgres")
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(skip)


def _uses_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("postgres"):
        return True
    if item.nodeid.startswith(ONCE):
        return False
    marked = item.get_closest_marker("django_db")
    fixtures = {"db", "transactional_db", "django_db_setup"}
    return bool(marked or fixtures & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let the test runner empty tables between tests: TRUNCATE is refused in real life."""
    if connection.vendor != "postgresql":
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in postgres.PROTECTED:
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_truncate ON {table}")


@pytest.fixture
def team(db: None) -> Team:
    return TeamFactory(name="Payments", slug="payments")


@pytest.fixture
def approver(team: Team) -> User:
    return _member(team, "Ann Approver", Role.APPROVER)


@pytest.fixture
def colleague(team: Team) -> User:
    return _member(team, "Carl Colleague", Role.APPROVER)


@pytest.fixture
def manager(team: Team) -> User:
    return _member(team, "Mia Manager", Role.MANAGER)


@pytest.fixture
def viewer(team: Team) -> User:
    return _member(team, "Vic Viewer", Role.VIEWER)


@pytest.fixture
def stranger(db: None) -> User:
    return _member(TeamFactory(name="Elsewhere", slug="elsewhere"), "Sue Stranger", Role.MANAGER)


@pytest.fixture
def agent(team: Team, approver: User) -> Agent:
    """An agent of a team that has somebody to ask."""
    return AgentFactory(team=team, name="refund-bot")


@pytest.fixture
def api_key(agent: Agent) -> str:
    return issue_key(agent)[1]


def _member(team: Team, name: str, role: Role) -> User:
    user = UserFactory(name=name, email=f"{name.split()[0].lower()}@example.com")
    add_member(team, user, role)
    return user


@pytest.fixture(autouse=True)
def _no_leftover_cache() -> Iterator[None]:
    yield
    cache.clear()
    watch.forget()
