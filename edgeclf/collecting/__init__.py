"""Collect pictures from addresses, tables and image searches, with their licences."""
