"""The column of a field: what stands in the model, and what that needs to import."""

from typing import Any, NamedTuple

from myapp.core.scaffold.fields import DIGITS, FieldError, Fields
from myapp.core.sql_model import SqlModel

SA, OURS = "sqlalchemy", "myapp.core.columns"


class Column(NamedTuple):
    """A column.

    :param annotation: the type of its value, in ``Mapped``.
    :param type: the column's type as code; empty where the annotation says it.
    :param imports: pairs of module and name.
    """

    annotation: str
    type: str = ""
    imports: tuple[tuple[str, str], ...] = ()


FORMATS = {
    "date": Column("date", "Date", (("datetime", "date"), (SA, "Date"))),
    "date-time": Column(
        "datetime", "UtcDateTime", (("datetime", "datetime"), (OURS, "UtcDateTime"))
    ),
    "uuid": Column("str", "Id", ((OURS, "Id"),)),
}
TYPES = {
    "boolean": Column("bool"),
    "number": Column("float", "Double", ((SA, "Double"),)),
    "array": Column("list[Any]", "JSON", (("typing", "Any"), (SA, "JSON"))),
    "object": Column("dict[str, Any]", "JSON", (("typing", "Any"), (SA, "JSON"))),
}
BITS_32 = 2**31


def column_of(fields: Fields, name: str) -> Column:
    """The column that holds what the schema of a field allows.

    :raises FieldError: when none does.
    """
    field = fields.properties[name]
    types = field.get("type", [])
    plain = {types} if isinstance(types, str) else set(types) - {"null"}
    kind = plain.pop() if len(plain) == 1 else ""
    if name in fields.required and "null" in types:
        raise FieldError(f"{name} is required, and may be null: make it optional")
    if kind == "string" and "format" in field and field["format"] in FORMATS:
        return FORMATS[field["format"]]
    if kind == "string" and field.get("format") == "decimal":
        return decimal_column(fields, name)
    if kind == "string":
        if "maxLength" not in field:
            raise FieldError(f"{name} needs a maxLength, which its column has too")
        return Column("str", f"Varchar({field['maxLength']})", ((OURS, "Varchar"),))
    if kind == "integer":
        least, most = field.get("minimum", -BITS_32 - 1), field.get("maximum", BITS_32)
        if least >= -BITS_32 and most < BITS_32:
            return Column("int")
        return Column("int", "BigInteger", ((SA, "BigInteger"),))
    if kind not in TYPES:
        raise FieldError(f"no column holds {name}: {field}")
    return TYPES[kind]


def decimal_column(fields: Fields, name: str) -> Column:
    """The column of a decimal.

    :raises FieldError: when nobody says how many digits it has.
    """
    if name not in fields.digits:
        raise FieldError(f'{name} needs its digits, such as "{DIGITS}": [12, 2]')
    precision, scale = fields.digits[name]
    imports = (("decimal", "Decimal"), (OURS, "ExactDecimal"))
    return Column("Decimal", f"ExactDecimal({precision}, {scale})", imports)


def foreign_key(model: Any) -> str:
    """The foreign key to a model in SQL, as code; empty for one in Redis."""
    if not issubclass(model, SqlModel):
        return ""
    return f'ForeignKey("{model.__tablename__}.id")'
