"""The package under test, and both of its clients in front of a server that can fail."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hitl_client import AsyncClient, Client, core, replies

from tests.clients.imitation import Imitation
from tests.embedded import Embedded, running

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "clients" / "python" / "src"

KEY = "hitl_agt_of-nobody"


class Blocking:
    """An AsyncClient that is used like a Client, so that one test tells about both."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self.client = client
        self.runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return lambda *args, **kwargs: self.runner.run(method(*args, **kwargs))

    @contextlib.contextmanager
    def execution(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        context = self.client.execution(*args, **kwargs)
        run = self.runner.run(context.__aenter__())
        try:
            yield run
        except BaseException as error:
            if not self.runner.run(context.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.runner.run(context.__aexit__(None, None, None))


Make = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a client of either kind: `make(url, key, timeout=…)`."""
    if request.param == "sync":
        yield Client
        return
    with asyncio.Runner() as runner:
        made: list[AsyncClient] = []

        def build(*args: Any, **kwargs: Any) -> Blocking:
            made.append(AsyncClient(*args, **kwargs))
            return Blocking(made[-1], runner)

        yield build
        for client in made:
            runner.run(client.aclose())


@pytest.fixture
def server() -> Iterator[Imitation]:
    """A server that answers as hitl does, until it is told to fail."""
    with Imitation().running() as running:
        yield running


@pytest.fixture
def client(make: Make, server: Imitation) -> Any:
    """Either client, which bears little."""
    return make(server.url, KEY, timeout=0.5, retries=3, patience=3)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A real server, on which an agent that is silent for two seconds counts as dead."""
    with running(tmp_path_factory.mktemp("client"), EXECUTION_LEASE_SECONDS="2") as embedded:
        yield embedded


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real pauses, but short ones."""
    monkeypatch.setattr(replies, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(replies, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(core, "HOLD_SECONDS", 1)
