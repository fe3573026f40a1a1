"""JSON input and output: strict parsing, formats, JSON Schemas, and the schemas that
are derived from them."""

from myapp.core.schema.derive import SERVER_FIELDS, derive_read_schema
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

__all__ = ["JSON", "SERVER_FIELDS", "Validator", "derive_read_schema"]
