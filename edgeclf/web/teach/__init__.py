"""Teach a model in the browser: projects are folders of class folders."""
