"""Recognises the errors that come from the state of a store, and not from our code.

Each store classifies its own errors, in a ``faults`` module of its folder.
"""

from myapp.core.stores.store import registered_stores


def is_retryable(error: Exception) -> bool:
    """Whether a store has rolled back a transaction that may succeed when it runs
    again."""
    return any(store.is_retryable(error) for store in registered_stores())


def is_unavailable(error: Exception) -> bool:
    """Whether an error says that its store is down, full, locked or busy."""
    return any(store.is_unavailable(error) for store in registered_stores())
