"""The contract above every store: what a model is, what a record can do, and the
changes that PATCH and batch make of a body."""

from myapp.core.model.model import Model
from myapp.core.model.record import Document, Page, Record, Relation

__all__ = ["Document", "Model", "Page", "Record", "Relation"]
