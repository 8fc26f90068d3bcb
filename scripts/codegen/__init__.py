"""Generating the typed clients: the tools, and what is done to their output."""
