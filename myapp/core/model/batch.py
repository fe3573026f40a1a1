"""Batch: many creates, updates and deletes of one model, all or nothing.

``{"create": [body...], "update": [{"id", "version"?, fields...}], "delete": [id...]}``
is done in that order. The id ``#/create/0``, in an update, in a delete or in a field
that refers to a record, means the first record that this batch creates.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from myapp.core.errors.kinds import Slug
from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.model.batch_schema import MAX_ITEMS, PARTS, REFERENCE_PATTERN, SHAPES
from myapp.core.model.model import Model
from myapp.core.model.record import Document
from myapp.core.schema.formats import parse_uuid
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import MAX_ERRORS

REFERENCE = re.compile(rf"{REFERENCE_PATTERN}\Z", re.ASCII)
# The members of an item that identify its record; the others are its fields.
ADDRESS = ("id", "version")


def run_batch(model: type[Model], body: Any) -> JSON:
    """Run a batch in the transaction of this request.

    :param body: the parsed body, not validated.
    :returns: the created and updated records as clients see them, and the deleted ids.
    :raises Problem: 400, 409, 412, 422 or 428; each of its errors points at an item.
    :raises StaleRead: when another request changes one of the records meanwhile.
    """
    check_shape(model, body)
    ids = [new_id(model, item) for item in body.get("create", ())]
    creates = [resolved(model, item, ids) for item in body.get("create", ())]
    updates = [resolved(model, item, ids, "id") for item in body.get("update", ())]
    deletes = [as_object(item, ids) for item in body.get("delete", ())]
    check_items(model, creates, updates, deletes)
    created = [model.new_document(item, id) for item, id in zip(creates, ids)]
    if created:
        with pointing_into("create"):
            model.insert(created)
    found = read_all(model, updates, deletes)
    changes = [
        (found[item["id"]], changed(model, found[item["id"]], item)) for item in updates
    ]
    if changes:
        with pointing_into("update"):
            model.overwrite(changes)
    if deletes:
        with pointing_into("delete"):
            model.discard([found[item["id"]] for item in deletes])
    return {
        "create": [model.show(document) for document in created],
        "update": [model.show(document) for _, document in changes],
        "delete": [item["id"] for item in deletes],
    }


def check_shape(model: type[Model], body: Any) -> None:
    """Refuse a body that is not a batch, or is too large.

    :raises Problem: 400 or 413.
    """
    SHAPES[model.key.schema["type"]].check(body)
    if sum(len(body.get(part, ())) for part in PARTS) > MAX_ITEMS:
        raise Problem("too-large", f"A batch has at most {MAX_ITEMS} items.")


def new_id(model: type[Model], item: Any) -> Any:
    """The id of the record that an item creates; ``None`` when the client gives it, and
    it is not valid."""
    if model.key.make:
        return model.key.make()
    try:
        return model.key.read(item["id"])
    except (ValueError, TypeError, KeyError):
        return None


def resolved(model: type[Model], item: Any, ids: list[Any], address: str = "") -> Any:
    """An item in which ids replace the references to records of this batch.

    :param address: the field that identifies its own record, if it exists.
    """
    if not isinstance(item, dict):
        return item
    return {
        name: (
            resolve_id(value, ids)
            if name == address or is_reference(model, name)
            else value
        )
        for name, value in item.items()
    }


def is_reference(model: type[Model], name: str) -> bool:
    """Whether a field holds the id of a record."""
    related = any(one.field == name for one in model.relations.values())
    return related or model.parsers.get(name) is parse_uuid


def resolve_id(value: Any, ids: list[Any]) -> Any:
    """The id of a reference, or the value itself when it is not a reference."""
    match = REFERENCE.match(value) if isinstance(value, str) else None
    return ids[int(match[1])] if match and int(match[1]) < len(ids) else value


def as_object(item: Any, ids: list[Any]) -> JSON:
    """A delete as an object with its id, and with its version when it is given."""
    item = item if isinstance(item, dict) else {"id": item}
    return {**item, "id": resolve_id(item["id"], ids)}


def check_items(
    model: type[Model], creates: list[Any], updates: list[Any], deletes: list[Any]
) -> None:
    """Validate each item.

    :raises Problem: 400 with every error when an item is invalid; 422 when items are
        valid, and an id is named twice or refers to nothing; 428 when the model
        requires versions.
    """
    errors, impossible = [], []
    for index, item in enumerate(creates):
        errors += model.create_validator.errors(item, pointer("create", index))
    seen: set[Any] = set()
    for part, items in (("update", updates), ("delete", deletes)):
        for index, item in enumerate(items):
            where = pointer(part, index)
            fields = {name: item[name] for name in item if name not in ADDRESS}
            errors += model.patch_validator.errors(fields, where)
            id = item["id"]
            try:
                id = item["id"] = model.key.read(id)
            except ValueError as error:
                if isinstance(id, str) and REFERENCE.match(id):
                    impossible.append(missing(where))
                else:
                    errors.append(problem_at(f"{where}/id", str(error), "format"))
                continue
            if id in seen:
                twice = problem_at(f"{where}/id", "is named twice", "uniqueItems")
                impossible.append(twice)
            seen.add(id)
    if errors or impossible:
        slug: Slug = "invalid-body" if errors else "unprocessable"
        raise Problem(slug, errors=[*errors, *impossible][:MAX_ERRORS])
    if model.requires_if_match and any(
        "version" not in one for one in updates + deletes
    ):
        raise Problem("precondition-required", "Each item needs its version.")


def missing(where: str) -> dict[str, str]:
    """The error of an item whose record does not exist."""
    return problem_at(f"{where}/id", "refers to nothing", "reference")


def read_all(
    model: type[Model], updates: list[JSON], deletes: list[JSON]
) -> dict[str, Document]:
    """The documents to update or delete, by id.

    :raises Problem: 422 when a record does not exist, 412 when it has another version.
    """
    ids = [item["id"] for item in updates + deletes]
    found = {one["id"]: one for one in model.read(ids)} if ids else {}
    gone, moved = [], []
    for part, items in (("update", updates), ("delete", deletes)):
        for index, item in enumerate(items):
            where, document = pointer(part, index), found.get(item["id"])
            if document is None:
                gone.append(missing(where))
            elif item.get("version", document["version"]) != document["version"]:
                moved.append(problem_at(f"{where}/version", "has changed", "version"))
    if gone:
        raise Problem("unprocessable", errors=gone)
    if moved:
        raise Problem("precondition-failed", errors=moved)
    return found


def changed(model: type[Model], document: Document, item: JSON) -> Document:
    """The next version of a document with the fields of an update."""
    fields = {name: item[name] for name in item if name not in ADDRESS}
    return model.changed(document, model.stored(fields, partial=True))


@contextmanager
def pointing_into(part: str) -> Iterator[None]:
    """Make the errors of a problem point at the item of the batch that caused them."""
    try:
        yield
    except Problem as problem:
        where = pointer(part, problem.index)
        indexes = problem.indexes or [problem.index] * len(problem.errors)
        problem.errors = [
            {**error, "pointer": pointer(part, index) + str(error["pointer"])}
            for index, error in zip(indexes, problem.errors)
        ] or [problem_at(where, str(problem.description), "constraint")]
        raise
