"""Which errors come from the state of a store rather than from our mistake.

Each store tells its own errors apart, in a ``faults`` module of its folder.
"""

from myapp.core.stores.store import registered_stores


def is_retryable(error: Exception) -> bool:
    """Whether a store has undone a transaction that may pass when it runs again."""
    return any(store.is_retryable(error) for store in registered_stores())


def is_unavailable(error: Exception) -> bool:
    """Whether an error says that its store is down, full, locked or busy."""
    return any(store.is_unavailable(error) for store in registered_stores())
