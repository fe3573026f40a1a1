"""The error that stops the application at its start."""


class ConfigError(RuntimeError):
    """A setting makes it unsafe or impossible to start; the text is one line."""
