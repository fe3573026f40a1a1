"""Column types that behave the same on every engine."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, String
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

from myapp.core.schema.strict_json import MAX_INTEGER

MYSQL = ("mysql", "mariadb")


class Id(TypeDecorator[str]):
    """A UUID as the wire shows it: native on PostgreSQL, 36 ASCII characters elsewhere,
    because MariaDB's own type does not sort version 7 by time in every release.
    """

    impl = String(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of an engine."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=False))
        if dialect.name in MYSQL:
            ascii_only = mysql.CHAR(36, charset="ascii", collation="ascii_bin")
            return dialect.type_descriptor(ascii_only)
        return dialect.type_descriptor(String(36))

    def bind_processor(self, dialect: Dialect) -> None:
        """Text goes in as it is."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Text comes out as it is; ``engine.py`` tells psycopg to leave it so."""

    def __repr__(self) -> str:
        return "Id()"


class Varchar(TypeDecorator[str]):
    """Text that is compared and sorted by code point on every engine, not by the
    rules of a language, so that each gives the same order and the same equality.

    :param length: the most characters that it takes.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of an engine with its binary collation, blanks at the end kept."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(self.length, collation="C"))
        if dialect.name in MYSQL:
            mariadb = getattr(dialect, "is_mariadb", False)
            collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
            text = mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation)
            return dialect.type_descriptor(text)
        return dialect.type_descriptor(String(self.length))

    def __repr__(self) -> str:
        return f"Varchar({self.length})"


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, aware and in UTC, with microseconds on every engine."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL and MariaDB drop fractions of a second unless told otherwise."""
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        """To UTC; without the zone where the engine stores none."""
        if value is None:
            return None
        moment: datetime = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None where the engine gives what we want: the zone of its session is UTC."""
        if dialect.name == "postgresql":
            return None
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return cast(datetime | None, value)

    def __repr__(self) -> str:
        return "UtcDateTime()"


class lower(GenericFunction[str]):
    """``lower()`` for all of Unicode: PostgreSQL folds only ASCII in the collation of
    our columns, and SQLite only ASCII at all (``engine.py`` gives it Python's)."""

    type = String()
    inherit_cache = True


@compiles(lower, "postgresql")
def lower_by_unicode(element: Any, compiler: Any, **kwargs: Any) -> str:
    """With the root collation of ICU."""
    return f'lower({compiler.process(element.clauses, **kwargs)} COLLATE "und-x-icu")'


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal number with a fixed scale; SQLite, which has none, stores it as an
    integer of the smallest unit, so that it sorts and compares exactly.

    :param precision: digits in all.
    :param scale: digits after the point.
    """

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(precision, scale)
        self.precision = precision
        self.scale = scale

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """An integer on SQLite, NUMERIC elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(Numeric(self.precision, self.scale))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """To the stored number."""
        if value is None or dialect.name != "sqlite":
            return value
        scaled = Decimal(value).scaleb(self.scale)
        # What is compared may have more digits than what is stored, or be larger.
        whole = int(scaled)
        return whole if whole == scaled and abs(whole) <= MAX_INTEGER else float(scaled)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None where the engine gives decimals by itself."""
        if dialect.name != "sqlite":
            return None
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """From the stored number."""
        if value is None or dialect.name != "sqlite":
            return cast(Decimal | None, value)
        return Decimal(value).scaleb(-self.scale)

    def __repr__(self) -> str:
        return f"ExactDecimal({self.precision}, {self.scale})"
