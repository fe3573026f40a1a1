"""Linked identities for tests, and for the matrix of access."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from myapp.core.model import Record
from myapp.openid.models import add_linked

numbers = count(1)


def create_linked(user_id: str, **overrides: str) -> Record:
    """A stored identity of a user."""
    fields = {
        "provider": "google",
        "issuer": "https://accounts.google.com",
        "subject": str(next(numbers)),
        "email": "ada@mail.example",
        **overrides,
    }
    return add_linked(user_id, **fields)


def record_for_matrix(
    ids: Mapping[str, str], _roles: Mapping[str, str], _model: Any
) -> Record:
    """An identity of the caller called owner.

    :param ids: the ids of the callers.
    """
    return create_linked(ids["owner"])
