"""Shopping carts, stored in Redis; a cart that is not changed for a while expires."""

from myapp.carts import cli, jobs  # noqa: F401  add its command and its jobs
from myapp.carts.endpoints import blueprint

__all__ = ["blueprint"]
