"""What keeps the application from starting."""


class ConfigError(RuntimeError):
    """A setting makes it unsafe or impossible to start; the text is one line."""
