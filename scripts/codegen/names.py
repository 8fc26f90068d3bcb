"""Short names for the Python client's models.

ariadne-codegen derives a class for every place where a fragment is selected, and names it after
the place: `StartWorkflowStartWorkflowInstancePayload`. A class that adds nothing to its fragment's
class is replaced by that, so that all operations use the same `InstancePayload`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

TYPENAME = "typename__"
ROOT_MODULES = ("base_model", "client", "enums", "fragments", "input_types", "sync_client")
"""Modules whose classes are all public; an operation's own module also has its envelope."""

INIT = '''\
"""The generated client, its inputs, results and enums."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
{imports}

_HOMES = {{
{homes}
}}


def __getattr__(name: str) -> object:
    """Import the module of a name when it is first used."""
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    value = getattr(importlib.import_module(module, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
{exported}
]
'''


class Package:
    """The modules of a generated package, and the module of each class."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = {
            path.stem: ast.parse(path.read_text())
            for path in sorted(folder.glob("*.py"))
            if path.stem != "__init__"
        }

    def shorten(self) -> None:
        """Replace the classes that add nothing, and write all modules."""
        renamed = self._renamed()
        words = re.compile(rf"\b({'|'.join(map(re.escape, sorted(renamed)))})\b")
        for name, module in self.modules.items():
            module.body = [node for node in module.body if _defined(node) not in renamed]
            text = words.sub(lambda match: renamed[match[1]], ast.unparse(module))
            self.modules[name] = ast.parse(text)
        typing = ast.ImportFrom("typing", [ast.alias("Literal")], level=0)
        self.modules["fragments"].body.insert(0, typing)
        homes = self._homes()
        for name, module in self.modules.items():
            Imports(name, homes).visit(module)
            (self.folder / f"{name}.py").write_text(ast.unparse(module) + "\n")
        self._write_init(homes)

    def _renamed(self) -> dict[str, str]:
        """The replaced classes, with their replacements."""
        classes = {
            node.name: node
            for module in self.modules.values()
            for node in module.body
            if isinstance(node, ast.ClassDef)
        }
        renamed = {}
        for module in self.modules.values():
            for node in module.body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
                    renamed[_defined(node)] = node.value.id
                elif isinstance(node, ast.ClassDef) and (base := _adds_nothing_to(node, classes)):
                    renamed[node.name] = base
        for name, target in renamed.items():
            while target in renamed:
                target = renamed[target]  # noqa: PLW2901 - to the end of the chain
            renamed[name] = target
        return renamed

    def _homes(self) -> dict[str, str]:
        return {
            defined: name
            for name, module in self.modules.items()
            for node in module.body
            if (defined := _defined(node)) and defined != "__all__"
        }

    def _write_init(self, homes: dict[str, str]) -> None:
        public = {
            name: home
            for name, home in sorted(homes.items())
            if name[0].isupper()
            and (home in ROOT_MODULES or name.lower() != home.replace("_", ""))
            and home != "operations"
        }
        text = INIT.format(
            imports="\n".join(f"    from .{home} import {name}" for name, home in public.items()),
            homes="\n".join(f'    "{name}": ".{home}",' for name, home in public.items()),
            exported="\n".join(f'    "{name}",' for name in public),
        )
        (self.folder / "__init__.py").write_text(text)


class Imports(ast.NodeTransformer):
    """Imports each class from its module."""

    def __init__(self, module: str, homes: dict[str, str]) -> None:
        self._module = module
        self._homes = homes

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.ImportFrom]:
        """One import for each module; none for classes of this module."""
        if node.level != 1 or node.module is None:
            return [node]
        names: dict[str, list[str]] = {}
        for alias in node.names:
            home = self._homes.get(alias.name, node.module)
            if home != self._module and alias.name not in names.setdefault(home, []):
                names[home].append(alias.name)
        return [
            ast.ImportFrom(home, [ast.alias(name) for name in sorted(found)], level=1)
            for home, found in sorted(names.items())
        ]


def _defined(node: ast.stmt) -> str:
    """The class or name that a statement defines; empty if none."""
    if isinstance(node, ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _adds_nothing_to(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> str | None:
    """The base class that can replace this one; None if it adds something."""
    base = node.bases[0].id if len(node.bases) == 1 and isinstance(node.bases[0], ast.Name) else ""
    if base not in classes or base == "BaseModel" or len(node.body) != 1:
        return None
    [only] = node.body
    if isinstance(only, ast.Pass):
        return base
    if not _is_typename(only):
        return None
    # The class names its member of the union, and its fragment may name it instead.
    for number, field in enumerate(classes[base].body):
        if _is_typename(field):
            classes[base].body[number] = only
            return base
    return None


def _is_typename(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == TYPENAME
    )
