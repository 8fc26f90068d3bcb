"""Vocabularies, transitions, limits, errors and text formats: data and small functions for all."""
