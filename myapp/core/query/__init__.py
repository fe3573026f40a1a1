"""The list query: filters, sort, search, pages, and the selection of fields and
relations."""

from myapp.core.query.filters import Filter
from myapp.core.query.list_query import ListQuery

__all__ = ["Filter", "ListQuery"]
