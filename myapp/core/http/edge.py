"""The edge of view functions that are no resource: one transaction a request."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request

from myapp.core.access.rules import SAFE_METHODS
from myapp.core.stores.transaction import in_transaction, reading


def at_edge(view: Callable[..., Any]) -> Callable[..., Any]:
    """A view function whose writes are committed. A resource is returned as it is,
    because it commits its writes itself (``has_edge``).
    """
    if getattr(getattr(view, "view_class", None), "has_edge", False):
        return view

    @wraps(view)
    def call(**kwargs: Any) -> Any:
        run = reading if request.method in SAFE_METHODS else in_transaction
        return run(view, **kwargs)

    return call
