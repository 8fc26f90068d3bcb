"""Whole workflows that run."""
