"""The routes of the carts."""

from typing import Any

from myapp.carts.models import HOUR, WEEK, Cart
from myapp.core.rest import feature_blueprint, routes_from_model

SETTINGS: dict[str, Any] = {
    # Seconds after its last change in which a cart expires; 0 is never.
    "CART_TTL": WEEK,
    # Seconds after its last change in which a cart is marked in abandoned_at; 0 is
    # never.
    "CART_ABANDONED_AFTER": HOUR,
}

blueprint, api = feature_blueprint("carts", __name__, SETTINGS)
carts = api.namespace("carts", path="/", description="Carts.")

routes_from_model(carts, Cart)
