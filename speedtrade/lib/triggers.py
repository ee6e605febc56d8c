"""SQL of the promises that only the database can keep, for `migrations.RunSQL`."""


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
