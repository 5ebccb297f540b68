"""Second factors: each code once, secrets sealed, nobody's factor counts for somebody else."""

import base64
import time

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.core.management import CommandError, call_command

from hitl.accounts import factors
from hitl.accounts.models import User
from hitl.lib.errors import Conflict, NotFound
from hitl.lib.sealing import is_current
from tests import authenticator
from tests.racing import race

SECRET = base64.b32encode(b"12345678901234567890").decode()  # of RFC 6238, appendix B
AT = 1_700_000_000


@pytest.fixture
def with_app(approver: User) -> User:
    """Somebody who set an app up an hour ago."""
    with time_machine.travel(AT - 3600, tick=False):
        factors.add_totp(approver, SECRET, authenticator.code(SECRET))
    return approver


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_tests_own_app_shows_the_codes_of_the_rfc(at: int, code: str) -> None:
    assert authenticator.code(SECRET, at) == code


@pytest.mark.parametrize("off", [-30, 0, 30])
def test_a_clock_half_a_minute_off_is_fine(with_app: User, off: int) -> None:
    with time_machine.travel(AT, tick=False):
        row = factors.use_code(with_app, authenticator.code(SECRET, AT + off))
    assert row
    assert row.type == "totp"


@pytest.mark.parametrize("off", [-3600, -60, 60])
def test_codes_of_other_times_are_refused(with_app: User, off: int) -> None:
    with time_machine.travel(AT, tick=False):
        assert factors.use_code(with_app, authenticator.code(SECRET, AT + off)) is None


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "\ud800", "\u0660" * 6, "0" * 5000, "\x00"]
)
def test_rubbish_is_refused(with_app: User, code: str) -> None:
    assert factors.use_code(with_app, code) is None


def test_spaces_do_not_matter(with_app: User) -> None:
    with time_machine.travel(AT, tick=False):
        code = authenticator.code(SECRET)
        assert factors.use_code(with_app, f" {code[:3]} {code[3:]} ")


def test_a_code_counts_once_whatever_the_cache_remembers(with_app: User) -> None:
    with time_machine.travel(AT, tick=False) as clock:
        code = authenticator.code(SECRET)
        assert factors.use_code(with_app, code)
        cache.clear()
        assert factors.use_code(with_app, code) is None
        clock.shift(30)  # still within the tolerance
        assert factors.use_code(with_app, code) is None


def test_an_older_code_is_refused_after_a_newer_one(with_app: User) -> None:
    with time_machine.travel(AT, tick=False):
        assert factors.use_code(with_app, authenticator.code(SECRET, AT + 30))
        assert factors.use_code(with_app, authenticator.code(SECRET, AT)) is None


def test_the_code_that_set_the_app_up_is_used_up(approver: User) -> None:
    with time_machine.travel(AT, tick=False):
        code = authenticator.code(SECRET)
        factors.add_totp(approver, SECRET, code)
        assert factors.use_code(approver, code) is None


@pytest.mark.django_db(transaction=True)
def test_one_code_used_by_many_at_once_counts_once(with_app: User) -> None:
    code = authenticator.code(SECRET, time.time())
    results = race(*[lambda: factors.use_code(with_app, code)] * 6)
    assert sum(isinstance(result, Authenticator) for result in results) == 1


def test_a_recovery_code_counts_once(with_app: User) -> None:
    code = factors.codes(with_app)[3]
    row = factors.use_code(with_app, code)
    assert row
    assert row.type == "recovery_codes"
    assert factors.use_code(with_app, code) is None
    assert factors.of(with_app).codes_left == 9


@pytest.mark.django_db(transaction=True)
def test_one_recovery_code_used_by_many_at_once_counts_once(with_app: User) -> None:
    code = factors.codes(with_app)[0]
    results = race(*[lambda: factors.use_code(with_app, code)] * 6)
    assert sum(isinstance(result, Authenticator) for result in results) == 1


def test_nobody_elses_code_counts(with_app: User, colleague: User) -> None:
    factors.add_totp(colleague, "ABCDEFGHIJKLMNOP", "")
    with time_machine.travel(AT, tick=False):
        assert factors.use_code(colleague, authenticator.code(SECRET)) is None
    assert factors.use_code(colleague, factors.codes(with_app)[0]) is None


def test_new_codes_void_the_old_ones(with_app: User) -> None:
    old = factors.codes(with_app)
    factors.new_codes(with_app)
    assert not set(old) & set(factors.codes(with_app))
    assert factors.use_code(with_app, old[0]) is None


def test_codes_need_something_to_recover(approver: User) -> None:
    with pytest.raises(Conflict):
        factors.new_codes(approver)


def test_a_second_app_is_refused_and_the_first_stays(with_app: User) -> None:
    with pytest.raises(Conflict):
        factors.add_totp(with_app, "ABCDEFGHIJKLMNOP", "")
    with time_machine.travel(AT, tick=False):
        assert factors.use_code(with_app, authenticator.code(SECRET))


def test_recovery_codes_go_with_the_last_factor(with_app: User) -> None:
    row = factors.of(with_app).totp
    assert row
    factors.remove(with_app, row.pk)
    assert not factors.has_second_factor(with_app)
    assert not Authenticator.objects.filter(user=with_app).exists()


def test_nobody_removes_what_is_somebody_elses(with_app: User, colleague: User) -> None:
    row = factors.of(with_app).totp
    assert row
    with pytest.raises(NotFound):
        factors.remove(colleague, row.pk)
    assert factors.has_second_factor(with_app)


def test_recovery_codes_alone_cannot_be_removed_as_a_factor(with_app: User) -> None:
    row = Authenticator.objects.get(user=with_app, type="recovery_codes")
    with pytest.raises(NotFound):
        factors.remove(with_app, row.pk)


def test_secrets_are_sealed(with_app: User) -> None:
    for row in Authenticator.objects.filter(user=with_app):
        assert SECRET not in str(row.data)
        assert is_current(row.data.get("secret") or row.data["seed"])


def test_keys_can_be_replaced(with_app: User, settings: object) -> None:
    codes = factors.codes(with_app)
    settings.ENCRYPTION_KEYS = ["a new key of the operator, 32 chars."]  # type: ignore[attr-defined]
    call_command("rotate_keys")
    for row in Authenticator.objects.filter(user=with_app):
        assert is_current(row.data.get("secret") or row.data["seed"])
    assert factors.codes(with_app) == codes


def test_an_operator_takes_them_away(with_app: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("reset_second_factor", with_app.email.upper())
    assert not factors.has_second_factor(with_app)
    assert "no second factor any more" in capsys.readouterr().err
    with pytest.raises(CommandError, match="Nobody here"):
        call_command("reset_second_factor", "nobody@example.com")
