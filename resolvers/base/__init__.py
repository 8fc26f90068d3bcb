"""Vocabularies, transitions, limits, errors and text formats that all other folders share.

Everything here is data or a small function, and imports nothing else of the project.
"""
