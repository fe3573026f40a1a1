"""The stores of records. Each folder in here is a store; a request is one transaction
over all of them."""

from myapp.core.stores.store import Store
from myapp.core.stores.transaction import StaleRead, after_commit, commit, rollback

__all__ = ["StaleRead", "Store", "after_commit", "commit", "rollback"]
