"""Shopping carts, stored in Redis until nobody has touched them for a while."""

from myapp.carts import cli  # noqa: F401  adds its command to the blueprint
from myapp.carts.endpoints import blueprint

__all__ = ["blueprint"]
