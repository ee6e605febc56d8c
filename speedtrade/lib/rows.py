"""Write several rows in one statement whose text is made once: one round trip for one act.

For the path whose time everybody feels, an order from its coming in to its fills; elsewhere `save`,
`create` and `bulk_update` say the same in words that everybody knows.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model

from speedtrade.lib.prepared import connection_here, prepared_cursor

#: A row and the name of its field that is the key of the first row.
Follower = tuple[Model, str]
#: A row that exists, and the names of its fields to write.
Changed = tuple[Model, tuple[str, ...]]


def rows_write(
    first: Model, followers: Sequence[Follower] = (), changed: Sequence[Changed] = ()
) -> None:
    """Insert `first` and its followers, and write fields of rows that exist, in one statement.

    New rows get their keys. Raises what `save` would: IntegrityError, DataError.
    """
    told, values = _told(first)
    inserts = [(type(first), "", told)]
    for row, link in followers:
        told, more = _told(row, link)
        inserts.append((type(row), link, told))
        values += more
    for row, names in changed:
        values += [*_values(row, _fields(type(row), names)), row.pk]
    sql = _statement(tuple(inserts), tuple((type(row), names) for row, names in changed))
    with prepared_cursor() as cursor:
        cursor.execute(sql, values)
        keys = cursor.fetchone()
    for row, key in zip([first, *(row for row, _ in followers)], keys, strict=True):
        row.pk, row._state.adding, row._state.db = key, False, DEFAULT_DB_ALIAS
    for row, link in followers:
        for field in _fields(type(row), [link]):
            setattr(row, field.attname, first.pk)


def rows_update(rows: Sequence[Model], names: tuple[str, ...]) -> None:
    """Write these fields of rows of one table that exist; raises as `save` does."""
    if not rows:
        return
    model = type(rows[0])
    fields = _fields(model, names)
    values = [value for row in rows for value in (row.pk, *_values(row, fields))]
    with prepared_cursor() as cursor:
        cursor.execute(_update(model, names, len(rows)), values)


def row_save(row: Model) -> None:
    """Write every field of a row that exists, as `save()` does; nothing where it is gone."""
    rows_update([row], tuple(field.name for field in _columns(type(row))))


def rows_add(rows: Sequence[Model]) -> None:
    """Insert rows of one table without their keys; raises as `bulk_create` does.

    Of models whose columns have no default in the database.
    """
    if not rows:
        return
    fields = _columns(type(rows[0]))
    values = [value for row in rows for value in _values(row, fields)]
    with prepared_cursor() as cursor:
        cursor.execute(_insert(type(rows[0]), len(rows)), values)


@lru_cache(maxsize=32)
def _insert(model: type[Model], rows: int) -> str:
    quote = connection.ops.quote_name
    fields: Sequence[Any] = _columns(model)
    columns = ", ".join(quote(field.column) for field in fields)
    places = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * rows)
    table = quote(model._meta.db_table)
    return f"INSERT INTO {table} ({columns}) VALUES {places}"  # noqa: S608  # nosec B608 - names of ours, values are parameters


@lru_cache(maxsize=32)
def _update(model: type[Model], names: tuple[str, ...], rows: int) -> str:
    quote = connection.ops.quote_name
    table, fields = quote(model._meta.db_table), _fields(model, names)
    key: Any = model._meta.pk
    places = ", ".join(f"%s::{_type(field)}" for field in (key, *fields))
    sets = ", ".join(f"{quote(field.column)} = new.{quote(field.column)}" for field in fields)
    columns = ", ".join(quote(field.column) for field in (key, *fields))
    values = ", ".join([f"({places})"] * rows)
    return (
        f"UPDATE {table} SET {sets} FROM (VALUES {values}) AS new ({columns})"  # noqa: S608  # nosec B608 - names of ours, values are parameters
        f" WHERE {table}.{quote(key.column)} = new.{quote(key.column)}"
    )


def _type(field: Any) -> str:
    """The type to read a value as: its column's, without a length, at which a cast cuts silently.

    The column itself refuses what is too long.
    """
    kind: str = field.rel_db_type(connection)
    return "varchar" if kind.startswith("varchar") else kind


@lru_cache(maxsize=16)
def _columns(model: type[Model], link: str = "") -> tuple["Field[Any, Any]", ...]:
    """What is written of a new row: all but its key, and `link` apart."""
    return tuple(
        field
        for field in model._meta.concrete_fields
        if not field.primary_key and field.name != link
    )


def _fields(model: type[Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


def _values(row: Model, fields: Sequence[Any]) -> list[Any]:
    here = connection_here()
    return [field.get_db_prep_save(getattr(row, field.attname), here) for field in fields]


def _told(row: Model, link: str = "") -> tuple[tuple["Field[Any, Any]", ...], list[Any]]:
    """The fields of a new row that say something, and their values.

    Nothing is what the database writes where nothing is said. Half of an order's columns hold
    nothing yet, and psycopg reads a statement of more than 50 values anew each time.
    """
    here = connection_here()
    pairs = [
        (field, value)
        for field in _columns(type(row), link)
        if (value := field.get_db_prep_save(getattr(row, field.attname), here)) is not None
        or field.has_db_default()
    ]
    return tuple(field for field, _ in pairs), [value for _, value in pairs]


@lru_cache(maxsize=64)
def _statement(
    inserts: tuple[tuple[type[Model], str, tuple["Field[Any, Any]", ...]], ...],
    changed: tuple[tuple[type[Model], tuple[str, ...]], ...],
) -> str:
    """The statement, with a place for each value; tables and columns are names of our models."""
    quote = connection.ops.quote_name

    def names(fields: Sequence[Any]) -> str:
        return ", ".join(quote(field.column) for field in fields)

    def insert(model: type[Model], fields: Sequence[Any]) -> str:
        return f"INSERT INTO {quote(model._meta.db_table)} ({names(fields)})"

    (first, _, fields), followers = inserts[0], inserts[1:]
    places = ", ".join(["%s"] * len(fields))
    parts = [f"r0 AS ({insert(first, fields)} VALUES ({places}) RETURNING id)"]
    for number, (model, link, fields) in enumerate(followers, 1):
        places = ", ".join(["r0.id", *["%s"] * len(fields)])
        linked = [*_fields(model, [link]), *fields]
        parts.append(f"r{number} AS ({insert(model, linked)} SELECT {places} FROM r0 RETURNING id)")  # noqa: S608  # nosec B608 - names of ours, values are parameters
    for number, (model, written) in enumerate(changed):
        columns = [quote(field.column) for field in _fields(model, written)]
        sets = ", ".join(f"{column} = %s" for column in columns)
        table = quote(model._meta.db_table)
        parts.append(f"c{number} AS (UPDATE {table} SET {sets} WHERE id = %s)")  # noqa: S608  # nosec B608 - names of ours, values are parameters
    keys = range(len(followers) + 1)
    chosen = ", ".join(f"r{number}.id" for number in keys)
    return f"WITH {', '.join(parts)} SELECT {chosen} FROM {', '.join(f'r{n}' for n in keys)}"  # noqa: S608  # nosec B608 - names of ours, values are parameters
