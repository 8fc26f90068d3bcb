# workerd's JavaScript globals as Pyodide hands them out; the attributes are JavaScript's own.

from typing import Any

def __getattr__(name: str) -> Any: ...
