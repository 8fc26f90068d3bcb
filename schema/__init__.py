"""The GraphQL surface: Strawberry types with what each field is in SQL, roots, and HTTP.

`schema.graphql` is exported from this code by `python -m scripts.export_schema`.
"""
