"""Commands to be run from the project's root: `python -m scripts.NAME`."""
