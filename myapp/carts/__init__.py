"""Shopping carts, stored in Redis; a cart that is not changed for a while expires."""

from myapp.carts import cli  # noqa: F401  adds its command to the blueprint
from myapp.carts.endpoints import blueprint

__all__ = ["blueprint"]
