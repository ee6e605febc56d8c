"""Querysets that are turned into SQL once: for the few that run with every order.

Django writes the SQL of a queryset anew each time it runs, which costs several times what running
it does: it was a third of what an order cost the web process. What a `Compiled` asks is still
written as a queryset, with a `Given` in the place of each value that changes.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import get_related_populators
from django.db.transaction import TransactionManagementError
from psycopg.sql import Literal

from speedtrade.lib.prepared import connection_here, prepared_cursor

M = TypeVar("M", bound=Model)
_populators: Final[Any] = get_related_populators  # its types are those of a later Django


class Given(Expression):
    """A value that comes with each run; `output_field` is of its kind."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", (self,)


def given(model: type[Model], name: str) -> Given:
    """A value for the field of this name, or for the key."""
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    return Given(name, cast("Field[Any, Any]", field))


def attach(instance: Model, name: str, rows: list[Any]) -> None:
    """Let `instance.name.all()` be these rows, as after `prefetch_related`."""
    related = getattr(instance, name).all()
    related._result_cache, related._prefetch_done = rows, True
    instance.__dict__.setdefault("_prefetched_objects_cache", {})[name] = related


@dataclass(frozen=True, slots=True)
class _Written:
    """The SQL of a queryset on one connection, its arguments, and how rows become instances.

    `converters` are Django's: {column: what its values pass through}.
    """

    sql: str
    arguments: tuple[Given, ...]
    compiler: Any
    converters: dict[int, Any]
    locks: bool
    model: type[Model] | None = None
    start: int = 0
    end: int = 0
    names: tuple[str, ...] = ()
    populators: tuple[Any, ...] = ()


class Compiled(Generic[M]):
    """`make` gives the queryset, whose `Given`s get their values at each run.

    Values are written as they come: Decimal, datetime, UUID, str, int. The set of rows must not
    depend on anything but them, and must not be known to be empty. One that locks its rows raises
    TransactionManagementError outside a transaction, each time, as a queryset does.
    """

    def __init__(self, make: Callable[[], QuerySet[M, Any]]) -> None:
        self._make = make
        self._here = threading.local()  # compilers belong to a connection, which is a thread's

    def rows(self, **values: Any) -> list[M]:
        """Instances, with what `select_related` and `annotate` add to them."""
        written = self._written()
        beside = written.compiler.annotation_col_map.items()
        found = []
        for row in self._run(written, values):
            # What django.db.models.query.ModelIterable does with a row.
            instance: Any = written.model.from_db(  # type: ignore[union-attr]
                DEFAULT_DB_ALIAS, written.names, row[written.start : written.end]
            )
            for populator in written.populators:
                populator.populate(row, instance)
            for name, place in beside:
                setattr(instance, name, row[place])
            found.append(instance)
        return found

    def first(self, **values: Any) -> M | None:
        """The first instance, or None."""
        found = self.rows(**values)
        return found[0] if found else None

    def tuples(self, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of a `values_list`."""
        return [tuple(row) for row in self._run(self._written(), values)]

    def _run(self, written: _Written, values: dict[str, Any]) -> Iterable[Any]:
        if written.locks and not connection_here().in_atomic_block:
            raise TransactionManagementError("rows are locked inside a transaction only")
        arguments = [values[one.name] for one in written.arguments]
        with prepared_cursor() as cursor:
            cursor.execute(written.sql, arguments)
            rows: list[Any] = cursor.fetchall()
        if not written.converters:
            return rows
        return written.compiler.apply_converters(rows, written.converters)  # type: ignore[no-any-return]

    def _written(self) -> _Written:
        written: _Written | None = getattr(self._here, "written", None)
        if written is None:
            written = self._here.written = _write(self._make())
        return written


def _write(queryset: QuerySet[Any, Any]) -> _Written:
    compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
    sql, arguments = _filled(*compiler.as_sql())
    columns = [column[0] for column in compiler.select[: compiler.col_count]]
    converters = compiler.get_converters(columns)
    locks = bool(queryset.query.select_for_update)
    if not compiler.klass_info:
        return _Written(sql, arguments, compiler, converters, locks)
    chosen = compiler.klass_info["select_fields"]
    start, end = chosen[0], chosen[-1] + 1
    return _Written(
        sql,
        arguments,
        compiler,
        converters,
        locks,
        compiler.klass_info["model"],
        start,
        end,
        tuple(column[0].target.attname for column in compiler.select[start:end]),
        tuple(_populators(compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS)),
    )


def _filled(sql: str, arguments: Any) -> tuple[str, tuple[Given, ...]]:
    """The SQL with what never changes written out: only then does a plan see which index fits."""
    here = connection_here()
    first, *rest = sql.split("%s")
    text, left = first, []
    for one, after in zip(arguments, rest, strict=True):
        if isinstance(one, Given):
            left.append(one)
            text += "%s" + after
        else:
            text += Literal(one).as_string(here.connection).replace("%", "%%") + after
    return text, tuple(left)
