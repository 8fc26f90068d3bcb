"""Compiles GraphQL documents to SQL: one SELECT for each root field, whose only column is JSON.

Documents are parsed and validated here too, and variables are coerced.
"""
