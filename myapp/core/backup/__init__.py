"""Backups of the stores: ``flask backup``. Loaded when the command is used."""
