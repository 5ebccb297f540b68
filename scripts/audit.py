"""Ask whether a locked package has a known vulnerability: `make audit`.

pip-audit reads the lock files and asks the Python Packaging Advisory Database; nothing is
installed but itself, into `.cache/audit`. Where the database cannot be reached the audit is
skipped, and says so: a machine without the internet can still run everything else.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / ".cache" / "audit"
DATABASE = "https://pypi.org/pypi/pip/json"
LOCKS = ("requirements.txt", "requirements-dev.txt")
PATIENCE_SECONDS = 10
INSTALL_SECONDS = 300


def main(database: str = DATABASE, auditor: Sequence[str] = ()) -> int:
    """0 where nothing is known or nobody can tell, else what the auditor says."""
    if not is_reachable(database):
        print(f"Skipped: {database} cannot be reached, so nobody can tell.")
        return 0
    try:
        tool = auditor or install()
    except subprocess.SubprocessError:
        print("Skipped: the auditor could not be installed, so nobody can tell.")
        return 0
    command = [
        *tool,
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner=off",
    ]
    for name in LOCKS:
        command += ["--requirement", str(ROOT / name)]
    return subprocess.run(command, check=False).returncode


def is_reachable(database: str) -> bool:
    """Whether the database answers, within a few seconds."""
    try:
        with urlopen(database, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310  # our constant
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def install() -> list[str]:
    """The auditor's command, from the pins of requirements-audit.txt."""
    python = TOOL / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=True)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    lock = str(ROOT / "requirements-audit.txt")
    pip = [str(python), "-m", "pip", "install", *quiet, "--require-hashes", "--requirement", lock]
    subprocess.run(pip, check=True, timeout=INSTALL_SECONDS)
    return [str(python), "-m", "pip_audit"]


if __name__ == "__main__":
    sys.exit(main())
