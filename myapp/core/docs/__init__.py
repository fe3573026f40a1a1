"""What the API says of itself: OpenAPI, the guard of released clients, the pages."""

from myapp.core.docs.openapi import build_document

__all__ = ["build_document"]
