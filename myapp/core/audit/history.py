"""The history of a record: what the audit knows of it, and how to go back."""

from typing import Any

from flask import Response

from myapp.core.audit.line import AuditLine, audit_name
from myapp.core.errors.problem import Problem
from myapp.core.http.description import describe
from myapp.core.http.request import check_id
from myapp.core.model.context import unscoped
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Record
from myapp.core.query.filters import Filter, equal
from myapp.core.query.list_query import ListQuery
from myapp.core.rest.api import Namespace
from myapp.core.rest.lists import describe_list, respond_list
from myapp.core.rest.resource import ModelResource
from myapp.core.rest.verbs import respond_record, to_write
from myapp.core.schema.names import snake

# The largest integer of a column.
MAX_VERSION = 2**31 - 1
HISTORY = "/<id>/history"
RESTORE = "/<id>/history/<int:version>/restore"
RESTORE_ERRORS = (400, 404, 409, 412, 422, 428)


def history_routes(namespace: Namespace, model: type[Model], access: str) -> None:
    """Make the routes of the history of a model, after those of
    :func:`~myapp.core.rest.routes_from_model`: GET on ``/<id>/history``, and POST on
    ``/<id>/history/<version>/restore``.

    :param access: who may call them; those who restore write the record.
    :raises TypeError: when the model is not ``audited``.
    """
    if not model.audited:
        raise TypeError(f"{model.__name__} has no history: it is not audited")
    one, shared = snake(model.__name__), {"model": model, "access": access}

    class History(ModelResource):
        """What was written to one record."""

        @describe_list(
            AuditLine,
            errors=(400, 404),
            id=f"list_{one}_history",
            summary=f"List what was written to a {one}, newest first.",
        )
        def get(self, id: str) -> Response:
            """List the writes of a record, also after it was deleted."""
            conditions = history_of(model, check_id(id, model.key))
            with unscoped():
                return respond_list(AuditLine, *conditions)

    class Restore(ModelResource):
        """A version of one record."""

        @describe(
            {200: model.read_schema},
            errors=RESTORE_ERRORS,
            id=f"restore_{one}",
            summary=f"Write a {one} as it was in a version.",
        )
        def post(self, id: str, version: int) -> Response:
            """Write a record as it was in a version. The next version of the record is
            the same as that one; a record that was deleted is there again."""
            return respond_record(restored(model, check_id(id, model.key), version))

    for url, made in ((HISTORY, History), (RESTORE, Restore)):
        name = f"{model.__name__}{made.__name__}"
        members = {**shared, "__doc__": made.__doc__}
        namespace.route(url)(type(name, (made,), members))


def history_of(model: type[Model], id: Any) -> tuple[Filter, ...]:
    """The conditions of the lines of a record that exists for this caller, or that was
    deleted.

    :raises Problem: 404.
    """
    conditions = (equal("model", audit_name(model)), equal("record_id", str(id)))
    # Nobody knows for whom a record has been that is gone.
    if not model.read([id]) and (model.conditions() or not newest_line(conditions)):
        raise Problem("not-found")
    return conditions


def newest_line(conditions: tuple[Filter, ...]) -> Document | None:
    """The newest line that fulfils conditions, if there is one."""
    newest = AuditLine.queryable.newest
    with unscoped():
        found = AuditLine.list(ListQuery(conditions, sort=newest, limit=1)).items
    return found[0] if found else None


def restored(model: type[Model], id: Any, version: int) -> Record:
    """Write a record as it was in a version.

    :raises Problem: 404 for a version that is not known, 412, 422 when it is not valid
        any more.
    """
    exists = bool(model.read([id]))
    conditions = history_of(model, id)
    record = to_write(model, id) if exists else None
    fields = fields_at(conditions, version)
    try:
        if record is not None:
            # What is not in the line stays as it is.
            known = {**model.writable_fields(record.document), **fields}
            writable = {name: known[name] for name in model.writable}
            return record.replace(model.completed(record, writable))
        return brought_back(model, id, fields, conditions)
    except Problem as problem:
        if problem.slug != "invalid-body":
            raise
        told = "The record would not be valid as it was in this version."
        raise Problem("unprocessable", told, errors=problem.errors) from problem


def fields_at(conditions: tuple[Filter, ...], version: int) -> Document:
    """The fields of a record in a version: those in the line of this version, or those
    of which the next line tells that they were before.

    :raises Problem: 404.
    """
    if not 0 < version <= MAX_VERSION:
        raise Problem("not-found")
    line = newest_line((*conditions, equal("record_version", version)))
    if line is not None and line["action"] != "delete":
        return dict(line["record"])
    following = newest_line((*conditions, equal("record_version", version + 1)))
    if following is None or following["action"] == "create":
        raise Problem("not-found")
    fields = dict(following["record"])
    for change in following["changes"]:
        if "before" in change:
            fields[change["field"]] = change["before"]
    return fields


def brought_back(
    model: type[Model], id: Any, fields: Document, conditions: tuple[Filter, ...]
) -> Record:
    """Store a record again that was deleted, as the version after its deletion.

    :param conditions: those of its lines.
    """
    deletion = newest_line(conditions)
    known = {name: value for name, value in fields.items() if value is not None}
    body = {name: known[name] for name in model.writable if name in known}
    model.write_validator.check(body)
    told = {name: known[name] for name in model.server_properties if name in known}
    document = {
        **model.new_document(body, id),
        **model.typed(told),
        "version": deletion["record_version"] + 1 if deletion else 1,
    }
    model.insert([document])
    return Record(model, document)
