"""Generators of the typed clients: external tools, and changes to their output."""
