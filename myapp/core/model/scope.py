"""Scope: the records that exist for the caller and the path of a request.

A scope is a list of conditions. Every access to a record checks them: list, count, get,
replace, patch, delete, batch, ``expand`` and references. Outside of requests, for
example in commands, every record is in scope.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from myapp.core.errors.problem import Problem
from myapp.core.model.context import Context, current_context
from myapp.core.model.record import Document, Documents
from myapp.core.model.storage import Storage
from myapp.core.query.filters import Filter, equal
from myapp.core.query.list_query import ListQuery

Conditions = tuple[Filter, ...]


class Scoped(Storage):
    """Adds the scope to the primitives of a store."""

    #: Whether :meth:`scope` may return conditions.
    has_scope: ClassVar[bool] = False

    @classmethod
    def scope(cls, context: Context) -> Conditions:
        """The conditions that every record in scope fulfils.

        A condition that compares a field with one value also sets this field of a new
        record; name such a field in ``scoped_by``. Conditions may use fields that
        clients never see. The default conditions are the variables of the path.
        """
        return tuple(equal(name, value) for name, value in context.path.items())

    @classmethod
    def conditions(cls) -> Conditions:
        """The conditions of this request."""
        if not cls.has_scope:
            return ()
        context = current_context(cls)
        return () if context is None else tuple(cls.scope(context))

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
        """The values that the scope of this request sets in a new record."""
        return {
            condition.field: condition.values[0]
            for condition in cls.conditions()
            if condition.operator == "eq"
        }

    @classmethod
    def refuse_outside(cls, documents: Iterable[Document]) -> None:
        """Refuse to write a document that would not be in scope.

        :raises Problem: 403; its ``index`` is the index of the document.
        """
        conditions = cls.conditions()
        for index, document in enumerate(documents if conditions else ()):
            if not cls.obeys(document, conditions):
                problem = Problem(
                    "forbidden", "The record would be outside of your scope."
                )
                problem.index = index
                raise problem
