"""Domain code as coroutines that suspend on commands, and the code that performs them.

The Python modules describe commands as JSON; the JavaScript modules perform them in workerd.
"""
