"""What is limited happens so often, then not for a while; without a cache it does not happen."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from hitl.lib import limits
from hitl.lib.limits import Rate, TooOften


@pytest.fixture(autouse=True)
def _no_outage() -> Iterator[None]:
    yield
    limits.forget_outage()


def down(*_: object, **__: object) -> None:
    raise ConnectionError


def spend(whose: str = "ann", *, times: int = 3, seconds: int = 60) -> None:
    limits.spend("test", whose, times=times, seconds=seconds)


def test_so_often_and_no_more() -> None:
    for _ in range(3):
        spend()
    for _ in range(2):
        with pytest.raises(TooOften) as caught:
            spend()
    assert caught.value.status == 429


def test_everybody_has_a_count_of_their_own() -> None:
    for whose in ("ann", "bob", "+44 7700 900123", "\udcff", "x" * 5000):
        spend(whose, times=1)


def test_kinds_of_things_do_not_share_a_count() -> None:
    spend(times=1)
    limits.spend("another", "ann", times=1, seconds=60)


def test_window_ends() -> None:
    spend(times=1)
    cache.clear()  # what time does
    spend(times=1)


def test_without_a_cache_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "count", down, raising=False)
    with pytest.raises(TooOften, match="in a minute"):
        spend()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(30, "1 minute"), (600, "10 minutes"), (3600, "an hour"), (7200, "2 hours")],
)
def test_says_when_to_try_again(seconds: int, words: str) -> None:
    with pytest.raises(TooOften, match=f"try again in {words}"):
        spend(times=0, seconds=seconds)


def test_what_is_given_back_does_not_count() -> None:
    for _ in range(5):
        spend(times=1)
        limits.give_back("test", "ann")
    spend(times=1)
    with pytest.raises(TooOften):
        spend(times=1)


def test_giving_back_what_was_never_taken_is_no_credit() -> None:
    limits.give_back("test", "ann")
    spend(times=1)
    with pytest.raises(TooOften):
        spend(times=1)


def test_giving_back_without_a_cache_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spend(times=1)
    monkeypatch.setattr(cache, "uncount", down, raising=False)
    limits.give_back("test", "ann")
    with pytest.raises(TooOften):
        spend(times=1)


# --- Where it must go on --------------------------------------------------------------------------

THREE = Rate(3, 60)


def waits(times: int, whose: str = "ann", rate: Rate | None = THREE) -> list[bool]:
    return [limits.hold_off("test", whose, rate) > 0 for _ in range(times)]


def test_holding_off_begins_after_so_many() -> None:
    assert waits(5) == [False] * 3 + [True] * 2
    assert 50 < limits.hold_off("test", "ann", THREE) <= 60
    assert waits(1, "bob") == [False]


def test_no_rate_is_no_limit() -> None:
    assert not any(waits(50, rate=None))


def test_without_a_cache_each_process_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "count", down, raising=False)
    assert waits(5, "nobody else") == [False] * 3 + [True] * 2


def test_a_cache_that_failed_is_left_alone_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slow(*_: object, **__: object) -> None:
        asked.append(1)
        raise TimeoutError

    monkeypatch.setattr(cache, "count", slow, raising=False)
    waits(10, "somebody")
    assert len(asked) == 1
    limits.forget_outage()
    waits(1, "somebody")
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("text", "rate", "words"),
    [
        ("600/minute", Rate(600, 60), "600 a minute"),
        (" 5/second ", Rate(5, 1), "5 a second"),
        ("20/hour", Rate(20, 3600), "20 an hour"),
    ],
)
def test_a_rate_is_read_and_said(text: str, rate: Rate, words: str) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == words


def test_a_rate_may_be_off() -> None:
    assert Rate.parse("off") is None
    assert Rate.parse("OFF") is None


@pytest.mark.parametrize(
    "text", ["", "600", "0/minute", "-1/minute", "6/day", "1e3/minute", "٣/hour"]
)
def test_nonsense_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        Rate.parse(text)
