"""Measure models on pictures whose class is known."""
