"""The documentation of the API: OpenAPI, the compatibility check, the pages."""

from myapp.core.docs.openapi import build_document

__all__ = ["build_document"]
