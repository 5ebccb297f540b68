"""What fails among many and holds alone is named; twice, often or in a race is a failure."""

from pathlib import Path

import pytest

from scripts import suite

ONCE = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range({number}))
def test_{name}(number):
    mark = Path(__file__).with_suffix(f".{{number}}")
    seen, _ = mark.exists(), mark.touch()
    assert seen

def test_good():
    pass
"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def ran(
    folder: Path, *, name: str = "now_and_then", number: int = 1, file: str = ONCE
) -> suite.Outcome:
    (folder / "test_it.py").write_text(file.format(name=name, number=number))
    (folder / "bare.ini").write_text("[pytest]\n")  # without Django: it is quicker
    options = ("-c", str(folder / "bare.ini"), "-p", "xdist")
    return suite.run("own", suite.Part((str(folder), *options)), [])


def test_a_test_that_holds_alone_is_named_as_unstable(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = ran(tmp_path)
    assert (outcome.code, outcome.passed, outcome.failed) == (0, 2, 0)
    assert [name.rpartition("::")[2] for name in outcome.unstable] == ["test_now_and_then[0]"]
    assert "a second look at" in capfd.readouterr().out


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    outcome = ran(tmp_path, file=ONCE.replace("assert seen", "assert False"))
    assert (outcome.code, outcome.passed, outcome.failed, outcome.unstable) == (1, 1, 1, [])


@pytest.mark.parametrize(
    ("name", "number"), [("race", 1), ("now_and_then", suite.SECOND_LOOKS + 1)]
)
def test_races_and_many_failures_get_no_second_look(tmp_path: Path, name: str, number: int) -> None:
    outcome = ran(tmp_path, name=name, number=number)
    assert (outcome.code, outcome.failed, outcome.unstable) == (1, number, [])


def test_a_run_that_died_has_failed(tmp_path: Path) -> None:
    outcome = ran(tmp_path, file="import os\nos._exit(1)\n")
    assert (outcome.code, outcome.failed, outcome.unstable) == (1, 1, [])


def test_a_part_without_tests_has_failed(tmp_path: Path) -> None:
    assert ran(tmp_path, file="").code == suite.NO_TESTS
