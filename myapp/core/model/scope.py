"""Scope: the records that exist for the caller and the path of a request.

A scope is a list of conditions. Every access to a record checks them: list, count, get,
replace, patch, delete, batch, ``expand`` and references. Outside of requests, for
example in commands, every record is in scope.

Access words such as ``owner`` add conditions: those of the route that reads the records
say which of them exist for the caller, those of the route that writes them which of
these it may change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from myapp.core.access.caller import Caller
from myapp.core.access.rules import Rule
from myapp.core.errors.problem import Problem
from myapp.core.model.context import Context, current_context
from myapp.core.model.record import Document, Documents
from myapp.core.model.storage import Storage
from myapp.core.query.filters import NOTHING, Filter, equal
from myapp.core.query.list_query import ListQuery

Conditions = tuple[Filter, ...]


class Scoped(Storage):
    """Adds the scope to the primitives of a store."""

    #: Whether :meth:`scope` or the access of its routes may add conditions.
    has_scope: ClassVar[bool] = False
    #: The field that holds the id of the caller who has made a record, and owns it; the
    #: access word ``owner`` compares it.
    owner_field: ClassVar[str] = ""

    @classmethod
    def scope(cls, context: Context) -> Conditions:
        """The conditions that every record in scope fulfils.

        A condition that compares a field with one value also sets this field of a new
        record; name such a field in ``scoped_by``. Conditions may use fields that
        clients never see. The default conditions are the variables of the path.
        """
        return tuple(equal(name, value) for name, value in context.path.items())

    @classmethod
    def related(cls, caller: Caller, relation: str) -> Conditions:
        """The conditions of the records to which a caller is something.

        :param relation: what an access word wants it to be: ``owner``, ``supervisor``.
        """
        is_owner = relation == "owner" and cls.owner_field
        return (equal(cls.owner_field, caller.id),) if is_owner else (NOTHING,)

    @classmethod
    def conditions(cls) -> Conditions:
        """The conditions of this request."""
        if not cls.has_scope:
            return ()
        context = current_context(cls)
        if context is None:
            return ()
        access = cls.conditions_of(context.readers, context.caller)
        return (*cls.scope(context), *access)

    @classmethod
    def conditions_of(cls, rule: Rule | None, caller: Caller | None) -> Conditions:
        """The conditions of the records for which a rule lets a caller pass."""
        wanted = [set[str]()] if rule is None else rule.wanted(caller)
        if set() in wanted:
            return ()
        if not wanted or caller is None:
            return (NOTHING,)
        # The start has refused a rule with more than one.
        return tuple(
            condition
            for relation in sorted(wanted[0])
            for condition in cls.related(caller, relation)
        )

    @classmethod
    def in_scope(cls, query: ListQuery) -> ListQuery:
        """A query that finds only records in scope."""
        conditions = cls.conditions()
        if not conditions:
            return query
        return replace(query, filters=(*conditions, *query.filters))

    @classmethod
    def read(cls, ids: Sequence[Any]) -> Documents:
        """The documents that exist in scope among these ids, in any order."""
        documents = cls.read_many(ids)
        conditions = cls.conditions()
        if not conditions:
            return documents
        return [one for one in documents if cls.obeys(one, conditions)]

    @classmethod
    def obeys(cls, document: Document, conditions: Conditions) -> bool:
        """Whether a document fulfils conditions."""
        values = cls.typed(document)
        return all(condition.matches(values) for condition in conditions)

    @classmethod
    def scope_values(cls) -> Document:
        """The values that the scope of this request sets in a new record; its owner is
        the caller, whatever lets the caller pass."""
        values = {
            condition.field: condition.values[0]
            for condition in cls.conditions()
            if condition.operator == "eq"
        }
        context = current_context(cls) if cls.owner_field else None
        if context is not None and context.caller is not None:
            values[cls.owner_field] = context.caller.id
        return values

    @classmethod
    def refuse_outside(cls, documents: Iterable[Document], are_new: bool) -> None:
        """Refuse to write a document that would not be in scope, or that the caller
        could not write again.

        :param are_new: whether they are of new records. Conditions on their ids, such
            as those of the teams of a caller, cannot hold yet and are left out.
        :raises Problem: 403; its ``index`` is the index of the document.
        """
        conditions = (*cls.conditions(), *cls.writer_conditions())
        if are_new:
            conditions = tuple(
                one for one in conditions if one.field != "id" or one is NOTHING
            )
        for index, document in enumerate(documents if conditions else ()):
            if not cls.obeys(document, conditions):
                problem = Problem(
                    "forbidden", "The record would be outside of your scope."
                )
                problem.index = index
                raise problem

    @classmethod
    def refuse_writer(cls, documents: Iterable[Document]) -> None:
        """Refuse a write by a caller who may read these documents, and not write them.

        :param documents: as they are stored.
        :raises Problem: 403; its ``index`` is the index of the document.
        """
        conditions = cls.writer_conditions()
        for index, document in enumerate(documents if conditions else ()):
            if not cls.obeys(document, conditions):
                problem = Problem("forbidden", "You may read this record only.")
                problem.index = index
                raise problem

    @classmethod
    def writer_conditions(cls) -> Conditions:
        """The conditions of the records that this request may write, where they are not
        those of the records that it may read."""
        context = current_context(cls) if cls.has_scope else None
        if context is None or context.writers is None:
            return ()
        readers = context.readers
        if readers and readers.alternatives == context.writers.alternatives:
            return ()
        return cls.conditions_of(context.writers, context.caller)
