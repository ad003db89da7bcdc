"""Queries whose SQL is made once.

Django makes the SQL of a query anew each time it is asked, which takes several times as long as the database needs to
answer a small one. Where somebody waits for a dozen of them in a row (a click), they are prepared instead. What is read
is the same; only putting the same text together again is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import BigIntegerField, CharField, DateTimeField, Field, QuerySet, UUIDField

Row = TypeVar("Row")

_FIELDS: dict[type, Field[Any, Any]] = {
    int: BigIntegerField(),
    str: CharField(),
    UUID: UUIDField(),
    datetime: DateTimeField(),
}
_STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda number: 30_000 + number,  # no column is too small for it: then the condition would be left out
    str: lambda number: f"\x01{number}",
    UUID: lambda number: UUID(int=number),
    datetime: lambda number: datetime(1901, 1, 1, tzinfo=UTC) + timedelta(days=number),
}
"""What stands for the values while the SQL is made, which is done twice: what differs is a value."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The SQL of a query for one database, its parameters, and which of them is which value of a call (or its own)."""

    queryset: Any
    compiler: Any
    sql: str
    parameters: tuple[tuple[int | None, Any], ...]


class Prepared(Generic[Row]):
    """``Prepared(lambda pk: Server.objects.filter(pk=pk), int)``; called with the values, it returns the rows.

    ``build`` makes the query set from as many values as there are ``kinds`` (int, str, UUID, datetime). Its SQL must
    be the same whatever they are, so none of them may be None. Raises ValueError at the first call where a value does
    not come to the database as it is (a pattern, a calculation).
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Row]], *kinds: type) -> None:
        self._build = build
        self._kinds = kinds
        self._made: _Made | None = None

    def __call__(self, *values: Any) -> list[Row]:
        """Ask the database. Raises ValueError for None, and what Django raises."""
        made = self._made = self._made or self._make()
        given = self._given(values)
        bound = tuple(own if place is None else given[place] for place, own in made.parameters)
        compiler = copy.copy(made.compiler)
        compiler.as_sql = lambda *_, **__: (made.sql, bound)
        query = copy.copy(made.queryset.query)
        query.get_compiler = lambda *_, **__: compiler
        rows = type(made.queryset)(model=made.queryset.model, query=query)
        for name in ("_iterable_class", "_fields", "_prefetch_related_lookups"):
            setattr(rows, name, getattr(made.queryset, name))
        return list(rows)

    def _given(self, values: Sequence[Any]) -> list[Any]:
        """The values as Django gives them to the database."""
        if None in values:
            raise ValueError("A prepared query asks for values; None is none.")
        kinds = zip(self._kinds, values, strict=True)
        return [_FIELDS[kind].get_db_prep_value(value, connection) for kind, value in kinds]

    def _make(self) -> _Made:
        """Make it twice, for two sets of values: where the parameters differ is where they belong."""
        count = len(self._kinds)
        values = [[_STAND_INS[kind](number) for number, kind in enumerate(self._kinds, first)] for first in (0, count)]
        querysets: list[Any] = [self._build(*own) for own in values]
        compilers = [queryset.query.get_compiler(connection=connection) for queryset in querysets]
        (sql, parameters), (other_sql, other_parameters) = (compiler.as_sql() for compiler in compilers)
        given = list(zip(*map(self._given, values), strict=True))
        pairs = list(zip(parameters, other_parameters, strict=False))
        places = [
            None if one == other else given.index((one, other))
            for one, other in pairs
            if one == other or (one, other) in given
        ]
        if sql != other_sql or len(places) != len(parameters) or set(places) - {None} != set(range(count)):
            raise ValueError(f"A value does not come to the database as it is: {sql}")
        return _Made(querysets[0], compilers[0], sql, tuple(zip(places, parameters, strict=True)))
