"""The lines of the audit."""

from collections.abc import Iterable
from typing import Any, ClassVar

from flask import Flask, current_app, has_request_context, request
from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.access.caller import caller_id
from myapp.core.model.changes import Change
from myapp.core.model.key import MAX_LENGTH
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Versioned
from myapp.core.schema.derive import SERVER_FIELDS
from myapp.core.schema.json_out import plain
from myapp.core.schema.names import model_name
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import Varchar

SHORT_TEXT = {"type": "string", "maxLength": MAX_LENGTH}
CHANGES = {
    "type": "array",
    "description": "Each field that the write has changed. The values are left out "
    "when clients may not read them.",
    "items": {
        "type": "object",
        "properties": {"field": SHORT_TEXT, "before": {}, "after": {}},
        "required": ["field"],
        "additionalProperties": False,
    },
}


class AuditLine(SqlModel):
    """One write of a record. A line is never changed or deleted."""

    __tablename__ = "audit_lines"
    filterable = ("model", "record_id", "caller_id", "request_id")
    times: ClassVar[tuple[str, ...]] = ("created_at",)
    has_batch = False
    write_schema = {
        "$id": "/schemas/audit-line.write.json",
        "title": "A line of the audit, as written",
        "type": "object",
        "properties": {
            "model": {**SHORT_TEXT, "description": "What was written, such as movie."},
            "record_id": SHORT_TEXT,
            "record_version": {
                "type": "integer",
                "description": "The version of the record after the write.",
            },
            "action": {"type": "string", "enum": ["create", "update", "delete"]},
            "caller_id": {
                **SHORT_TEXT,
                "description": "Who wrote it; null for a caller that is not known, a "
                "command and a job.",
            },
            "address": {**SHORT_TEXT, "description": "The address of the client."},
            "request_id": {
                **SHORT_TEXT,
                "description": "The request, or the one that has started the job.",
            },
            "changes": CHANGES,
            "record": {
                "type": "object",
                "description": "The record after the write, or before its deletion, as "
                "clients read it.",
            },
        },
        "required": [
            *("model", "record_id", "record_version", "action", "changes", "record"),
        ],
        "additionalProperties": False,
    }

    model: Mapped[str] = mapped_column(Varchar(MAX_LENGTH))
    record_id: Mapped[str] = mapped_column(Varchar(MAX_LENGTH))
    record_version: Mapped[int]
    action: Mapped[str] = mapped_column(Varchar(6))
    caller_id: Mapped[str | None] = mapped_column(Varchar(MAX_LENGTH))
    address: Mapped[str | None] = mapped_column(Varchar(MAX_LENGTH))
    request_id: Mapped[str | None] = mapped_column(Varchar(MAX_LENGTH))
    changes: Mapped[list[Any]] = mapped_column(JSON)
    record: Mapped[dict[str, Any]] = mapped_column(JSON)

    @classmethod
    def write(cls, changes: Iterable[Versioned]) -> None:
        """Refuse to change a line.

        :raises TypeError: always.
        """
        raise TypeError("a line of the audit is never changed")

    @classmethod
    def remove(cls, changes: Iterable[Versioned]) -> None:
        """Refuse to delete a line.

        :raises TypeError: always.
        """
        raise TypeError("a line of the audit is never deleted")


def audit_name(model: type[Model]) -> str:
    """What the lines call a model: the name of its read schema."""
    return model_name(model.read_schema)


def write_lines(model: type[Model], changes: Iterable[Change]) -> None:
    """Write a line for each change of records of a model."""
    sender = {
        "model": audit_name(model),
        "caller_id": caller_id() or None,
        "address": request.remote_addr if has_request_context() else None,
        "request_id": current_app.extensions["current_request_id"](),
    }
    AuditLine.add(
        [
            AuditLine.new_document({**sender, **content_of(model, change)})
            for change in changes
        ]
    )


def content_of(model: type[Model], change: Change) -> Document:
    """The part of a line that tells what a change has changed. It has no value that
    clients may not read, and none of a field in ``unaudited``."""
    kept: Any = change.after if change.after is not None else change.before
    told = [
        name
        for name in model.shown
        if name not in SERVER_FIELDS and name not in model.unaudited
    ]
    return {
        "record_id": str(kept["id"]),
        "record_version": kept["version"] + (change.after is None),
        "action": change.kind,
        "changes": list(changed_fields(change, told)),
        "record": plain({name: kept[name] for name in told}),
    }


def changed_fields(change: Change, told: list[str]) -> Iterable[Document]:
    """The fields that an update has changed.

    :param told: the fields whose values are told.
    """
    if change.before is None or change.after is None:
        return
    before, after = plain(change.before), plain(change.after)
    for name in after:
        if name in SERVER_FIELDS or before.get(name) == after[name]:
            continue
        values = {"before": before.get(name), "after": after[name]}
        yield {"field": name, **(values if name in told else {})}


def init_app(app: Flask) -> None:
    """Let models write the lines of the audit."""
    app.extensions["write_audit"] = write_lines
