"""Flowflare's own tools: they prepare, run, check and measure the project.

What runs before the virtual environment exists (`setup`, `host`, `project`) uses the standard
library alone.
"""
