"""Changes of records: the rules and hooks that run with each change.

Create, replace, patch, delete, batch and the command line all use these steps, in the
transaction of the request:

1. ``check`` validates the record, after the schema;
2. ``before_write`` of the model, then the signal ``before_write``;
3. the store writes;
4. ``after_write`` of the model, then the signal ``after_write``.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from blinker import NamedSignal, Namespace
from flask import current_app

from myapp.core.errors.problem import Problem
from myapp.core.model.record import Document, Documents
from myapp.core.model.scope import Scoped
from myapp.core.schema.validator import MAX_ERRORS

_signals = Namespace()
#: Sent with ``change`` before a record is written; the sender is the model.
before_write = _signals.signal("before-write")
#: Sent with ``change`` after a record was written, in the same transaction.
after_write = _signals.signal("after-write")


def has_receivers(signal: NamedSignal, model: Any) -> bool:
    """Whether a signal of a model is received. blinker also says so of a sender whose
    receivers were all disconnected."""
    return signal.has_receivers_for(model) and any(signal.receivers_for(model))


@dataclass(frozen=True)
class Change:
    """One change of a record.

    :param before: the document as it is stored; ``None`` for a new record.
    :param after: the document that will be stored; ``before_write`` may set its fields;
        ``None`` when the record is deleted.
    """

    before: Document | None
    after: Document | None

    @property
    def kind(self) -> str:
        """``create``, ``update`` or ``delete``."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "update"


class Watched(Scoped):
    """Adds rules and hooks to the primitives of a store."""

    #: Whether the model has a rule, a hook, a scope or an audit.
    has_rules: ClassVar[bool] = False
    #: Whether the audit gets a line for each write.
    audited: ClassVar[bool] = False
    #: Fields that clients read, and whose values are not in these lines, such as those
    #: that must be gone when their record is deleted.
    unaudited: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def check(
        cls, document: Document, before: Document | None
    ) -> Iterable[dict[str, str]]:
        """The errors that a schema cannot find, such as those of a rule across two
        fields: items of :func:`~myapp.core.errors.problem_at`.

        :param document: the record that would be stored, valid by its schema and with
            typed values.
        :param before: the record as it is stored now; ``None`` for a new record.
        """
        return ()

    @classmethod
    def before_write(cls, change: Change) -> None:
        """Called before a record is written. It may set fields of ``change.after``,
        write other records, or raise a problem."""

    @classmethod
    def after_write(cls, change: Change) -> None:
        """Called after a record was written, in the same transaction."""

    @classmethod
    def is_watched(cls) -> bool:
        """Whether a write of this model runs rules or hooks."""
        return (
            cls.has_rules
            or has_receivers(before_write, cls)
            or has_receivers(after_write, cls)
        )

    @classmethod
    def insert(cls, documents: Documents) -> None:
        """Store new documents, all or none.

        :raises Problem: 400 when ``check`` returns errors, 403 outside the scope, 409
            or 422 when a constraint is violated; its ``index`` is the index of the
            document.
        """
        if not cls.is_watched():
            cls.add(documents)
            return
        changes = [Change(None, document) for document in documents]
        cls.perform(changes, lambda: cls.add(documents))

    @classmethod
    def overwrite(cls, pairs: Sequence[tuple[Document, Document]]) -> None:
        """Store changed documents, all or none.

        :param pairs: each document as it was read, and its next version.
        :raises StaleRead: when a document has changed since it was read.
        :raises Problem: as :meth:`insert`.
        """
        versioned = [(after, before["version"]) for before, after in pairs]
        if not cls.is_watched():
            cls.write(versioned)
            return
        changes = [Change(before, after) for before, after in pairs]
        cls.perform(changes, lambda: cls.write(versioned))

    @classmethod
    def discard(cls, documents: Documents) -> None:
        """Delete documents, all or none.

        :raises StaleRead: when a document has changed since it was read.
        :raises Problem: 409 when other records refer to a document.
        """
        versioned = [(document, document["version"]) for document in documents]
        if not cls.is_watched():
            cls.remove(versioned)
            return
        changes = [Change(document, None) for document in documents]
        cls.perform(changes, lambda: cls.remove(versioned))

    @classmethod
    def perform(cls, changes: list[Change], act: Callable[[], Any]) -> None:
        """Run rules and hooks before and after the store makes the changes."""
        cls.refuse_writer(one.before for one in changes if one.before is not None)
        cls.judge(changes)
        for index, change in enumerate(changes):
            try:
                cls.before_write(change)
                before_write.send(cls, change=change)
            except Problem as problem:
                problem.index = index
                raise
        written = [one.after for one in changes if one.after is not None]
        are_new = any(one.before is None for one in changes)
        cls.refuse_outside(written, are_new)
        act()
        if cls.audited and changes:
            current_app.extensions["write_audit"](cls, changes)
        for change in changes:
            cls.after_write(change)
            after_write.send(cls, change=change)

    @classmethod
    def judge(cls, changes: list[Change]) -> None:
        """Run ``check`` on changes.

        :raises Problem: 400 with every error, at most 100; its ``indexes`` are those of
            their documents.
        """
        found = [
            (index, error)
            for index, change in enumerate(changes)
            if change.after is not None
            for error in cls.check(
                cls.typed(change.after),
                None if change.before is None else cls.typed(change.before),
            )
        ][:MAX_ERRORS]
        if found:
            problem = Problem("invalid-body", errors=[error for _, error in found])
            problem.indexes = [index for index, _ in found]
            raise problem
