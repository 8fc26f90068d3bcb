# JavaScript's globals in workerd, as Pyodide exposes them. Their attributes are not typed.

from typing import Any

def __getattr__(name: str) -> Any: ...
