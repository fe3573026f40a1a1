"""The model contract, the same for every store: models, records, and the changes that
PATCH and batch make.

Beyond the schema, a model may state a scope (``Context``, ``equal``, ``is_unset``,
``one_of``, ``NOTHING``, ``including``, ``unscoped``), computed fields (``Computed``),
rules and hooks (``Change``, and the signals ``before_write`` and ``after_write``).
"""

from myapp.core.model.changes import Change, after_write, before_write
from myapp.core.model.context import Context, including, unscoped
from myapp.core.model.declared import Computed
from myapp.core.model.key import Key
from myapp.core.model.model import Model
from myapp.core.model.record import Document, Page, Record, Relation
from myapp.core.query.filters import NOTHING, equal, is_unset, one_of

__all__ = [
    "NOTHING",
    "Change",
    "Computed",
    "Context",
    "Document",
    "Key",
    "Model",
    "Page",
    "Record",
    "Relation",
    "after_write",
    "before_write",
    "equal",
    "including",
    "is_unset",
    "one_of",
    "unscoped",
]
