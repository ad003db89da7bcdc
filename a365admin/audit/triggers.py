"""Database triggers that refuse a change or a removal in the audit log, whoever asks: our code, a shell, another tool.

There is no way round them but to drop them, which takes the right to change the schema and shows in the chain as soon
as anything is altered. Two things need that: a migration that rebuilds the table (SQLite does so for most changes:
call ``install()`` again afterwards), and a test suite that empties its tables between tests (``remove()`` once, after
its database was made: see ``tests/conftest.py``).
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "audit_auditentry"
SENTENCE = "The audit log is append-only: an entry is never changed or removed."

_REFUSE_SQLITE = f"BEGIN SELECT RAISE(ABORT, '{SENTENCE}'); END"
_REFUSE_POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION '{SENTENCE}'; END $$"""
_APPEND_ONLY_POSTGRESQL = f"""
CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE}
FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()"""

_INSTALL = {
    "sqlite": [
        f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} {_REFUSE_SQLITE}",
        f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} {_REFUSE_SQLITE}",
    ],
    "postgresql": [_REFUSE_POSTGRESQL, _APPEND_ONLY_POSTGRESQL],
}
_REMOVE = {
    "sqlite": [f"DROP TRIGGER IF EXISTS {TABLE}_no_{verb}" for verb in ("update", "delete")],
    "postgresql": [
        f"DROP TRIGGER IF EXISTS {TABLE}_append_only ON {TABLE}",
        f"DROP FUNCTION IF EXISTS {TABLE}_refuse()",
    ],
}


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the table append-only (again: older triggers are replaced)."""
    _run(connection, _REMOVE[connection.vendor] + _INSTALL[connection.vendor])


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away: for the migration's way back, and for test databases."""
    _run(connection, _REMOVE[connection.vendor])


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
