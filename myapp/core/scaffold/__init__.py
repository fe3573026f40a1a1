"""A new feature in one command, and its removal: ``flask new-feature`` and
``flask remove-feature``."""
