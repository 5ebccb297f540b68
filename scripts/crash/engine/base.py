"""PostgreSQL as Django knows it, with a boundary before and after every statement and commit."""

from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base

from scripts.crash import boundaries


class DatabaseWrapper(base.DatabaseWrapper):
    """Savepoints are statements; a commit is none, so it is told apart."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(_statement)

    def _commit(self) -> None:
        with boundaries.around("COMMIT"):
            super()._commit()  # type: ignore[misc]  # not in the stubs


def _statement(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    with boundaries.around(sql):
        return execute(sql, params, many, context)
