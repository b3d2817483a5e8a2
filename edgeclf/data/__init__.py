"""Folders, tables and splits."""
