"""Scope: which records exist for the caller and the path of a request.

A scope is a list of conditions. Every way to a record obeys them: list, count, get,
replace, patch, delete, batch, ``expand`` and references. Outside of requests, in
commands for example, every record is in scope.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from myapp.core.errors.problem import Problem
from myapp.core.model.context import Context, current_context
from myapp.core.model.record import Document, Documents
from myapp.core.model.storage import Storage
from myapp.core.query.filters import Filter, equal
from myapp.core.query.list_query import ListQuery

Conditions = tuple[Filter, ...]


class Scoped(Storage):
    """What a scope adds to the primitives of a store."""

    #: Whether :meth:`scope` may return conditions.
    has_scope: ClassVar[bool] = False

    @classmethod
    def scope(cls, context: Context) -> Conditions:
        """The conditions on every record that exists in a context.

        A new record takes the values of those that compare with one value. Fields that
        clients never see may be used; what is compared with one value belongs into
        ``scoped_by``. By default: the variables of the path.
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
        """A query that finds only what is in scope."""
        conditions = cls.conditions()
        if not conditions:
            return query
        return replace(query, filters=(*conditions, *query.filters))

    @classmethod
    def read(cls, ids: Sequence[str]) -> Documents:
        """The documents with these ids, those that exist in scope, in any order."""
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
        """What a new record takes from the scope of this request."""
        return {
            condition.field: condition.values[0]
            for condition in cls.conditions()
            if condition.operator == "eq"
        }

    @classmethod
    def refuse_outside(cls, documents: Iterable[Document]) -> None:
        """Refuse to write a document that would not be in scope.

        :raises Problem: 403, its ``index`` that of the document.
        """
        conditions = cls.conditions()
        for index, document in enumerate(documents if conditions else ()):
            if not cls.obeys(document, conditions):
                problem = Problem(
                    "forbidden", "The record would be outside of your scope."
                )
                problem.index = index
                raise problem
