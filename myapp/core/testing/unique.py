"""The unique constraints of a model."""

from sqlalchemy import UniqueConstraint

from myapp.core.model.model import Model
from myapp.core.stores.sql.model import SqlModel


def unique_groups(model: type[Model]) -> list[tuple[str, ...]]:
    """The fields that are unique together, for each constraint."""
    groups = [(name,) for name in model.unique]
    if issubclass(model, SqlModel):
        table = model.table()
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint):
                groups.append(tuple(column.name for column in constraint.columns))
        for index in table.indexes:
            if index.unique:
                groups.append(tuple(column.name for column in index.columns))
    return list(dict.fromkeys(groups))


def unique_fields(model: type[Model]) -> list[str]:
    """The writable fields of those constraints."""
    fields = model.write_schema["properties"]
    names = dict.fromkeys(name for group in unique_groups(model) for name in group)
    return [name for name in names if name in fields]
