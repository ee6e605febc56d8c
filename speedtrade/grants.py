"""The rights of the role by which the processes run, where another one owns the tables."""

from typing import Any

from django.db import OperationalError
from psycopg import sql

from speedtrade.lib.triggers import APPEND_ONLY

#: What migrations alone write.
READ_ONLY = ("django_migrations",)
#: For a superuser: what PostgreSQL 15 and later begin with. Clusters from before keep theirs.
SCHEMA_SHUT = (
    "ALTER SCHEMA public OWNER TO pg_database_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
)


def rows_grant(cursor: Any, role: str) -> None:
    """Let `role` read and write the rows of this database, add to history, and do no more.

    Nobody but who owns the schema makes anything in it then: what a role made there, the owner of
    the tables might run. The latter must ask; raises OperationalError as `role_check`. What the
    role had before is taken away, so it is harmless twice, and in a transaction nobody meets the
    moment in between.
    """
    role_check(cursor, role)
    for statement in (
        "GRANT USAGE ON SCHEMA public TO {role}",
        # Where who asks does not own the schema, it stays: see `everybody_creates`.
        "REVOKE CREATE ON SCHEMA public FROM {role}, PUBLIC",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "REVOKE UPDATE, DELETE ON {history} FROM {role}",
        "REVOKE INSERT, UPDATE, DELETE ON {migrations} FROM {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ):
        words = sql.SQL(statement).format(
            role=sql.Identifier(role), history=_names(APPEND_ONLY), migrations=_names(READ_ONLY)
        )
        cursor.execute(words)


def role_check(cursor: Any, role: str) -> None:
    """Raise OperationalError where `role` is not there, or is who asks and would lose their own."""
    cursor.execute(
        "SELECT current_user = %s, EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role, role]
    )
    asks, there = cursor.fetchone()
    if asks:
        raise OperationalError(f"{role} owns the tables.")
    if not there:
        raise OperationalError(f'role "{role}" does not exist.')


def everybody_creates(cursor: Any) -> bool:
    """Whether every role may make tables and functions in this schema, as up to PostgreSQL 14."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_namespace, aclexplode(nspacl) AS given"
        " WHERE nspname = 'public' AND given.grantee = 0 AND given.privilege_type = 'CREATE')"
    )
    return bool(cursor.fetchone()[0])


def history_changeable(cursor: Any) -> list[str]:
    """Tables of APPEND_ONLY where nothing but the trigger refuses the current role a change."""
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r'"
        " AND pg_table_is_visible(oid) AND (has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE')"
        " OR has_any_column_privilege(oid, 'UPDATE')) ORDER BY relname",
        [list(APPEND_ONLY)],
    )
    return [name for (name,) in cursor.fetchall()]


def _names(tables: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("public", table) for table in tables)
