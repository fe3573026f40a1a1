"""The kinds of errors, and the problem details that clients get: RFC 9457."""

from myapp.core.errors.kinds import KINDS, Slug
from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError

__all__ = ["KINDS", "ConfigError", "Problem", "Slug", "pointer", "problem_at"]
