"""The domain, in one folder per concept, from `base` up to `executing`.

Nothing here imports `js`, `pyodide` or `workers`, nor the GraphQL types in `schema`.
"""
