#!/usr/bin/env python3
"""Run parts of the test suite one after the other, and add up what they found.

    python scripts/suite.py sqlite postgres browser [-- pytest options...]

Each part is a pytest run of its own: one process has one database, and a browser test keeps an
event loop running that no other test may meet. `postgres` and `browser` expect what `services.py`
sets.
The last line reads "total: N passed, N failed, N skipped"; a part that ran no test has failed.

A few that failed are run once more, by themselves. What holds then is named as unstable: it met
another test, or a machine that was too busy, and wants mending, but says nothing against the code.
Races get no second chance: to fail rarely is what they are there to show.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
STORES = ("TEST_DATABASE_URL", "TEST_REDIS_URL")
NO_TESTS = 5  # pytest's exit code
INTERRUPTED = 2
WORKERS = ("-n", "2")
SECOND_LOOKS = 3  # a part that fails more often is broken
ONLY_THOSE = ("--last-failed", "--last-failed-no-failures=none", "-n", "0")
NO_SECOND_LOOK = ("race", "crash", "model", "proof", "tamper", "isolation")
NO_BROWSER = ("tests", "--ignore=tests/browser")


@dataclass(frozen=True)
class Part:
    """One pytest run: what it selects and which of `services.py`'s variables it sees."""

    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()


PARTS = {
    "sqlite": Part((*NO_BROWSER, "-m", "not browser and not postgres", *WORKERS)),
    "postgres": Part((*NO_BROWSER, "-m", "not browser", *WORKERS), needs=STORES),
    "browser": Part(("tests/browser",), needs=("CHROMIUM",)),
}


@dataclass
class Outcome:
    """What one part found."""

    name: str
    code: int
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    unstable: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        trouble = f" (pytest ended with {self.code})" if self.code else ""
        return f"{self.name:<10}{counts} in {self.seconds:.0f} s{trouble}"


def main() -> int:
    """Run the parts named on the command line; 0 when all of them passed."""
    names, options = split(sys.argv[1:])
    outcomes: list[Outcome] = []
    for name in names:
        outcomes.append(run(name, PARTS[name], options))
        if outcomes[-1].code == INTERRUPTED:
            break
    print("\nparts")
    print("\n".join(map(str, outcomes)))
    for outcome in outcomes:
        for test in outcome.unstable:
            print(f"unstable: {test} failed among the others and held by itself ({outcome.name})")
    passed, failed, skipped = (
        sum(getattr(outcome, count) for outcome in outcomes)
        for count in ("passed", "failed", "skipped")
    )
    print(f"total: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return int(any(outcome.code for outcome in outcomes))


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The parts before `--` and pytest's options after it, or exit with the usage."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:at], arguments[at + 1 :]
    if not names or set(names) - set(PARTS):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    return names, options


def run(name: str, part: Part, options: list[str]) -> Outcome:
    """One pytest run, its output straight to ours, its counts from the report it writes."""
    missing = [variable for variable in part.needs if variable not in os.environ]
    if missing:
        sys.exit(f"suite: {name} needs {' and '.join(missing)}; scripts/services.py sets them.")
    hidden = set(STORES) - set(part.needs)
    variables = {key: value for key, value in os.environ.items() if key not in hidden}
    print(f"\n=== tests: {name}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hitl-suite-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", *part.arguments, f"--junitxml={report}"]
        code = wait([*command, *options], variables)
        # A narrowed run may find nothing in one part; the whole suite may not.
        code = 0 if code == NO_TESTS and options else code
        outcome = count(Outcome(name, code, time.monotonic() - started), report)
        again = failures(report) if code == 1 else []
        if 0 < len(again) <= SECOND_LOOKS and not any(map(is_final, again)):
            look_again(outcome, part, variables, again)
        return outcome


def look_again(outcome: Outcome, part: Part, variables: dict[str, str], tests: list[str]) -> None:
    """Run these alone; the outcome is mended where all of them hold."""
    print(f"\n=== tests: {outcome.name}, a second look at {', '.join(tests)}", flush=True)
    where = [each for each in part.arguments if each not in WORKERS]
    command = [sys.executable, "-m", "pytest", *where, *ONLY_THOSE]
    started = time.monotonic()
    if wait(command, variables) == 0:
        outcome.code, outcome.unstable = 0, tests
        outcome.passed, outcome.failed = outcome.passed + outcome.failed, 0
    outcome.seconds += time.monotonic() - started


def failures(report: Path) -> list[str]:
    """The tests that a report says have failed: `tests.test_flows::test_name`."""
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def is_final(test: str) -> bool:
    """Whether failing once is enough."""
    return any(word in test.lower() for word in NO_SECOND_LOOK)


def wait(command: list[str], variables: dict[str, str]) -> int:
    """Run to the end; after Ctrl-C, which pytest gets as well, let it finish its report."""
    with subprocess.Popen(command, cwd=ROOT, env=variables) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            return INTERRUPTED


def count(outcome: Outcome, report: Path) -> Outcome:
    """Fill in the counts; a run that died before its report counts as one failure."""
    if not report.exists():
        outcome.failed = 1
    else:
        for suite in ElementTree.parse(report).iter("testsuite"):  # noqa: S314 - pytest wrote it
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            outcome.failed += failed
            outcome.skipped += skipped
            outcome.passed += int(suite.get("tests", 0)) - failed - skipped
    return outcome


if __name__ == "__main__":
    sys.exit(main())
