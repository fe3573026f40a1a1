"""The documentation of the API: OpenAPI, the compatibility check, the pages."""

from myapp.core.docs.openapi import build_document
from myapp.core.docs.pages import for_people, page

__all__ = ["build_document", "for_people", "page"]
