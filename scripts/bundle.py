"""The Pyodide bundle workerd runs Python with, made from the npm package `pyodide`.

workerd would download it. With the compatibility flag `python_workers_development` it takes
the bundle named `dev` from its disk cache instead, so the project runs wherever npm can be
reached. It is the same interpreter: the file differs from the released one in nothing but its
origin, and a deployment never carries the flag.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scripts.host import installed_version
from scripts.project import CACHE, NODE_MODULES, SetupError, digest, say, step

PYODIDE = NODE_MODULES / "pyodide"
BUNDLE_NAME = "pyodide_dev.capnp.bin"
SCHEMA = Path(__file__).with_name("pyodide_bundle.capnp")
INTERNAL = "pyodideRuntime-internal:"

PRELUDE = (
    "import {addEventListener,getRandomValues,location,monotonicDateNow,newWasmModule,"
    'patchedLoadLibData,wasmInstantiate} from "pyodide-internal:builtin_wrappers";'
)
NO_EVAL = '(()=>{throw new Error("eval is not available in a Worker")})('
LOAD_LIB_DATA = (
    "function loadLibData(){"
    "var libData=patchedLoadLibData(Module,libName,flags.rpath);"
    "return flags.loadAsync?Promise.resolve(libData):libData}"
)

Replacement = str | Callable[[re.Match[str]], str]
ADAPTATIONS: tuple[tuple[str, str, Replacement], ...] = (
    ("compile WebAssembly", r"\bnew WebAssembly\.Module\(", "newWasmModule("),
    ("instantiate WebAssembly", r"\bWebAssembly\.instantiate\(", "wasmInstantiate("),
    ("read the clock", r"\bDate\.now\b", "monotonicDateNow"),
    ("draw random bytes", r"\bcrypto\.getRandomValues\(", "getRandomValues(Module,"),
    ("evaluate source text", r"(?<![\w.$])eval\(", lambda _: NO_EVAL),
    (
        "read a shared library",
        r"function loadLibData\(\)\{.*?\}(?=function getExports\(\))",
        lambda _: LOAD_LIB_DATA,
    ),
    (
        "place a shared library",
        r"(?<![\w.$])getMemory\((?!size\b)",
        "Module.getMemoryPatched(Module,libName,",
    ),
    (
        "export the factory by name",
        r"export default _createPyodideModule;",
        "export{_createPyodideModule};export default _createPyodideModule;",
    ),
)
"""(what the glue does there, pattern, replacement): what workerd's sandbox requires."""


def adapt_glue(source: str) -> str:
    """Pyodide's Emscripten glue, calling workerd's wrappers.

    Raises SetupError if an adaptation finds nothing: then Pyodide changed, and the list above
    has to be looked at again.
    """
    for purpose, pattern, replacement in ADAPTATIONS:
        source, count = re.subn(pattern, replacement, source, flags=re.DOTALL)
        if count == 0:
            raise SetupError(
                f"pyodide {installed_version('pyodide')} does not {purpose} where workerd's "
                f"wrapper has to step in (no match for {pattern!r}). Use the pyodide version "
                "that package.json pins, or adjust ADAPTATIONS in scripts/bundle.py."
            )
    return PRELUDE + source


def workerd_binary() -> Path:
    """The native workerd program that npm installed for this platform."""
    found = sorted(NODE_MODULES.glob("@cloudflare/workerd-*/bin/workerd*"))
    if not found:
        raise SetupError("npm installed no workerd program for this platform.")
    return found[0]


def check_versions() -> None:
    """Raise SetupError unless workerd knows the installed Pyodide version."""
    version = installed_version("pyodide")
    if f"'{version}'".encode() in workerd_binary().read_bytes():
        return
    raise SetupError(
        f"workerd {installed_version('workerd')} does not know Pyodide {version}: the two are "
        "released in step. Change the version of pyodide in package.json to one that this "
        "workerd names (`strings` shows them), then `make lock`."
    )


def ensure_bundle() -> Path:
    """The folder for `--pyodide-bundle-disk-cache-dir`; made once for each version."""
    versions = (installed_version("workerd"), installed_version("pyodide"))
    folder = CACHE / f"bundle-{digest(*versions, Path(__file__), SCHEMA)}"
    target = folder / BUNDLE_NAME
    if not target.is_file():
        with step(f"Making workerd's Python bundle from pyodide {versions[1]}"):
            check_versions()
            folder.mkdir(parents=True, exist_ok=True)
            # Written beside and renamed: a half-written bundle must never be taken for one.
            partial = target.with_suffix(".partial")
            write_bundle(partial)
            partial.replace(target)
    return folder


def write_bundle(target: Path) -> None:
    """Write the bundle as one unpacked Cap'n Proto message."""
    import capnp  # noqa: PLC0415 - exists in .venv only; the rest runs without

    glue = adapt_glue((PYODIDE / "pyodide.asm.mjs").read_text(encoding="utf-8"))
    schema = capnp.load(str(SCHEMA))
    bundle = schema.Bundle.new_message()
    modules = bundle.init("modules", 3)
    contents = (
        ("pyodide.asm", "src", glue.encode()),
        ("pyodide.asm.wasm", "wasm", (PYODIDE / "pyodide.asm.wasm").read_bytes()),
        ("python_stdlib.zip", "data", (PYODIDE / "python_stdlib.zip").read_bytes()),
    )
    for module, (name, field, data) in zip(modules, contents, strict=True):
        module.name = INTERNAL + name
        module.type = "internal"
        setattr(module, field, data)
    with target.open("wb") as file:
        bundle.write(file)


def main() -> None:
    """Make the bundle and say where it is."""
    say(str(ensure_bundle() / BUNDLE_NAME))


if __name__ == "__main__":
    main()
