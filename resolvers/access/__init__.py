"""Authenticates callers by key or token, and knows their scopes and restrictions.

The restrictions become SQL conditions that every statement about instances contains.
"""
