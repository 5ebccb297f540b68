"""Secrets of the embedded mode: made at the first start, kept in the data folder, mode 0600."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

Makers = Mapping[str, Callable[[], str]]

OURS: Makers = {
    "SECRET_KEY": partial(secrets.token_urlsafe, 48),
    "JWT_SECRET": partial(secrets.token_urlsafe, 48),
}


def load(folder: Path, name: str = "secrets.json", makers: Makers = OURS) -> dict[str, str]:
    """Read the file `name` in `folder`, creating folder and file the first time.

    The file is created exclusively, so two processes starting at once agree on one set.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        _create(path, {key: make() for key, make in makers.items()})
    values: dict[str, str] = json.loads(path.read_text())
    return values


def _create(path: Path, fresh: dict[str, str]) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(fresh, file)
    try:
        os.link(draft, path)  # atomic, and fails where somebody was faster
    except FileExistsError:
        pass
    finally:
        draft.unlink()
