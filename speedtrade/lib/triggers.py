"""SQL of the promises that only the database can keep, for `migrations.RunSQL`."""

from typing import Any

#: Every table that a migration has given to `append_only`; a test compares.
APPEND_ONLY = (
    "accounts_auditevent",
    "accounts_auditseal",
    "marketdata_alertfiring",
    "portfolio_cashtransfer",
    "portfolio_journalentry",
    "portfolio_transfer",
    "trading_differencesighting",
    "trading_fill",
    "trading_orderevent",
    "trading_paperfill",
)


def append_only(table: str) -> tuple[str, str]:
    """(forward, reverse) SQL of a trigger that refuses UPDATE, DELETE and TRUNCATE of `table`.

    The refusal is an IntegrityError (SQLSTATE 23001) and comes even where no row would match: a
    statement that tries is a bug. Corrections are new rows.
    """
    name = f"{table}_append_only"
    forward = f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER {name} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {name}();
"""
    reverse = f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();"
    return forward, reverse


def append_only_unguarded(cursor: Any) -> list[str]:
    """Tables of APPEND_ONLY whose trigger is gone or off; [] is as it must be."""
    cursor.execute(
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE t.tgname = c.relname || '_append_only' AND t.tgenabled IN ('O', 'A')"
        " AND pg_table_is_visible(c.oid)"
    )
    guarded = {name for (name,) in cursor.fetchall()}
    return [table for table in APPEND_ONLY if table not in guarded]
