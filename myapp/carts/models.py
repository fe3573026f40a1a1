"""The model of a cart, with its schema."""

from typing import Any

from flask import current_app

from myapp.accounts import door
from myapp.core.model import Change, equal, unscoped
from myapp.core.query import ListQuery
from myapp.core.stores.redis import RedisModel

HOUR = 3600.0
WEEK = 7 * 24 * 3600.0
MOST_EXPORTED = 1000


class Cart(RedisModel):
    """The items that a customer is going to buy. Each write renews its time to live."""

    name = "cart"
    filterable = ("note",)
    sortable = ("note",)
    searchable = ("note",)

    owner_field = "owner_id"
    scoped_by = ("owner_id",)
    server_properties = {
        "owner_id": {"type": "string", "maxLength": 100},
        # When a job found that it was left; see ``myapp/carts/jobs.py``.
        "abandoned_at": {"type": "string", "format": "date-time"},
    }

    write_schema = {
        "$id": "/schemas/cart.write.json",
        "title": "A cart, as written",
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string", "minLength": 1, "maxLength": 64},
                        "quantity": {"type": "integer", "minimum": 1, "maximum": 999},
                        "unit_price": {
                            "type": "string",
                            "format": "decimal",
                            "pattern": r"^(0|[1-9]\d{0,7})\.\d\d$",
                            "examples": ["4.50"],
                        },
                    },
                    "required": ["sku", "quantity", "unit_price"],
                    "additionalProperties": False,
                },
            },
            "note": {"type": "string", "maxLength": 500},
        },
        "required": ["items"],
        "additionalProperties": False,
        "examples": [
            {
                "items": [{"sku": "poster-a2", "quantity": 1, "unit_price": "12.00"}],
                "note": "Please wrap it.",
            }
        ],
    }

    @classmethod
    def before_write(cls, change: Change) -> None:
        """A cart that is changed is not abandoned any more."""
        before, after = change.before, change.after
        if before and after and after["abandoned_at"] == before["abandoned_at"]:
            after["abandoned_at"] = None

    @classmethod
    def of_owner(cls, owner_id: str, most: int) -> list[dict[str, Any]]:
        """The documents of the carts of a user, the newest ones first.

        :param most: how many there are at most.
        """
        with unscoped():
            query = ListQuery((equal("owner_id", owner_id),), sort=cls.queryable.newest)
            return cls.find(query, most)

    @classmethod
    def seconds_to_live(cls) -> float:
        """The setting ``CART_TTL``, in seconds; 0 is no limit."""
        return float(current_app.config["CART_TTL"])


@door.in_export("carts")
def carts_of(user_id: str) -> list[dict[str, Any]]:
    """The carts of a user, for the copy of its account."""
    return [Cart.show(one) for one in Cart.of_owner(user_id, MOST_EXPORTED)]
