"""Films and the people who direct them, stored in SQL."""

from myapp.catalog import cli, jobs  # noqa: F401  add its commands and its jobs
from myapp.catalog.endpoints import blueprint

__all__ = ["blueprint"]
