"""Carts for tests and for the demo."""

from typing import Any

from myapp.carts.models import Cart
from myapp.core.model import Record
from myapp.core.schema import JSON

POSTER = {"sku": "poster-a2", "quantity": 1, "unit_price": "12.00"}
DISC = {"sku": "blu-ray-metropolis", "quantity": 2, "unit_price": "19.90"}


def cart_body(number: int = 0, **overrides: Any) -> JSON:
    """The body of a cart; each number gives another one."""
    note = ("Please wrap it.", "")[number % 2]
    return {"items": [POSTER, DISC][number % 2 :], "note": note, **overrides}


def create_cart(**overrides: Any) -> Record:
    """A stored cart."""
    return Cart.create({"items": [POSTER], **overrides})


def load_demo() -> int:
    """Store three carts.

    :returns: the number of carts.
    """
    create_cart()
    create_cart(items=[POSTER, DISC], note="Please wrap it.")
    create_cart(items=[])
    return 3
