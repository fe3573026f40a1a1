"""The documentation of the API: OpenAPI, the compatibility check, the pages."""

from myapp.core.docs.openapi import build_document
from myapp.core.docs.pages import page, undescribed

__all__ = ["build_document", "undescribed", "page"]
