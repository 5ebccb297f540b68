"""What is limited happens so often, then not for a while; without a cache it does not happen."""

import pytest
from django.core.cache import cache

from hitl.lib import limits
from hitl.lib.limits import TooOften


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


def test_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    spend(times=1)
    cache.clear()  # what time does
    spend(times=1)


def test_window_that_ends_between_two_calls_counts_as_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "add", lambda *_, **__: False)
    spend(times=0)


def test_without_a_cache_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "incr", down)
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
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    spend(times=1)
    monkeypatch.setattr(cache, "decr", down)
    limits.give_back("test", "ann")
    with pytest.raises(TooOften):
        spend(times=1)
