"""Films and the people who direct them, stored in SQL."""

from myapp.catalog import cli  # noqa: F401  adds its command to the blueprint
from myapp.catalog.endpoints import blueprint

__all__ = ["blueprint"]
