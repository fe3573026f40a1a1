"""Column types that behave the same on every engine."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import BigInteger, DateTime, Dialect, LargeBinary, Numeric, String
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from myapp.core.schema.strict_json import MAX_INTEGER

MYSQL = ("mysql", "mariadb")


#: Bytes of any length; a BLOB of MySQL and MariaDB has at most 64 KiB.
LARGE_BINARY = LargeBinary().with_variant(mysql.MEDIUMBLOB(), *MYSQL)


class Id(TypeDecorator[str]):
    """A UUID as text: the native type on PostgreSQL, 36 ASCII characters elsewhere. The
    native type of MariaDB does not sort version 7 by time in every release.
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
        """Text is written unchanged."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """Text is read unchanged; ``engine.py`` sets psycopg to return text."""

    def __repr__(self) -> str:
        return "Id()"


class Varchar(TypeDecorator[str]):
    """Text that is compared and sorted by code point, not by the rules of a language,
    so that order and equality are the same on every engine.

    :param length: the maximum number of characters.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of an engine with its binary collation; trailing blanks count."""
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
    """A date-time, aware and in UTC, with microseconds on every engine."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of an engine; MySQL and MariaDB need a precision to keep fractions
        of a second."""
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert to UTC; remove the zone when the engine does not store it."""
        if value is None:
            return None
        moment: datetime = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """``None`` on PostgreSQL, whose values are already aware and in UTC."""
        if dialect.name == "postgresql":
            return None
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Make the value aware, in UTC."""
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return cast(datetime | None, value)

    def __repr__(self) -> str:
        return "UtcDateTime()"


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal number with a fixed scale. SQLite has no decimal type; there it is an
    integer of the smallest unit, so that it sorts and compares exactly.

    :param precision: the number of digits in total.
    :param scale: the number of digits after the point.
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
        """Convert to the stored number."""
        if value is None or dialect.name != "sqlite":
            return value
        scaled = Decimal(value).scaleb(self.scale)
        # A value in a filter may have more digits than the column, or be larger.
        whole = int(scaled)
        return whole if whole == scaled and abs(whole) <= MAX_INTEGER else float(scaled)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """``None`` when the engine returns decimals itself."""
        if dialect.name != "sqlite":
            return None
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Convert from the stored number."""
        if value is None or dialect.name != "sqlite":
            return cast(Decimal | None, value)
        return Decimal(value).scaleb(-self.scale)

    def __repr__(self) -> str:
        return f"ExactDecimal({self.precision}, {self.scale})"
