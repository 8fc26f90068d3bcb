"""Make the Pyodide bundle with which workerd runs Python, from the npm package `pyodide`.

workerd would download the bundle. With the compatibility flag `python_workers_development` it
reads the bundle named `dev` from its disk cache instead, so the project needs only npm. It is the
same interpreter, and deployments never have the flag.
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
"""The changes that workerd's sandbox requires: (purpose of the code, pattern, replacement)."""


def adapt_glue(source: str) -> str:
    """Make Pyodide's Emscripten glue call workerd's wrappers.

    Raises SetupError if a pattern does not match, which means that Pyodide has changed.
    """
    for purpose, pattern, replacement in ADAPTATIONS:
        source, count = re.subn(pattern, replacement, source, flags=re.DOTALL)
        if count == 0:
            raise SetupError(
                f"The code with which pyodide {installed_version('pyodide')} should {purpose} was "
                f"not found (no match for {pattern!r}). Use the version of pyodide that "
                "package.json pins, or adjust ADAPTATIONS in scripts/bundle.py."
            )
    return PRELUDE + source


def workerd_binary() -> Path:
    """Return the path of the workerd program that npm installed for this platform."""
    found = sorted(NODE_MODULES.glob("@cloudflare/workerd-*/bin/workerd*"))
    if not found:
        raise SetupError("workerd has no program for this platform, so npm did not install one.")
    return found[0]


def check_versions() -> None:
    """Raise SetupError unless workerd knows the installed Pyodide version."""
    version = installed_version("pyodide")
    if f"'{version}'".encode() in workerd_binary().read_bytes():
        return
    raise SetupError(
        f"workerd {installed_version('workerd')} does not know Pyodide {version}. Change the "
        "version of pyodide in package.json to one that this workerd supports (`strings` applied "
        "to the workerd program lists them), then run `make lock`."
    )


def ensure_bundle() -> Path:
    """Make the bundle once for each version; return the folder for workerd's disk cache."""
    versions = (installed_version("workerd"), installed_version("pyodide"))
    folder = CACHE / f"bundle-{digest(*versions, Path(__file__), SCHEMA)}"
    target = folder / BUNDLE_NAME
    if not target.is_file():
        with step(f"Making workerd's Python bundle from pyodide {versions[1]}"):
            check_versions()
            folder.mkdir(parents=True, exist_ok=True)
            # Written under another name first, so that an interrupted run leaves no broken bundle.
            partial = target.with_suffix(".partial")
            write_bundle(partial)
            partial.replace(target)
    return folder


def write_bundle(target: Path) -> None:
    """Write the bundle as one unpacked Cap'n Proto message."""
    import capnp  # noqa: PLC0415 - exists in .venv only

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
    """Make the bundle and print its path."""
    say(str(ensure_bundle() / BUNDLE_NAME))


if __name__ == "__main__":
    main()
