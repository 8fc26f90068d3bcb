"""Scripts that set up, run and check the project.

`setup`, `host` and `project` run before the virtual environment exists, so they use only the
standard library.
"""
