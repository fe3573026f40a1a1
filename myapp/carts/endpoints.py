"""The routes of the carts."""

from myapp.carts.models import HOUR, WEEK, Cart
from myapp.core.rest import feature_blueprint, routes_from_model

blueprint, api = feature_blueprint(
    "carts", __name__, {"CART_TTL": WEEK, "CART_ABANDONED_AFTER": HOUR}
)
carts = api.namespace("carts", path="/", description="Carts.")

routes_from_model(carts, Cart)
