"""Runs domain code, which is coroutines that suspend on commands.

The Python modules describe commands as JSON; the JavaScript modules perform them in workerd.
"""
