"""Tests of the adapted Pyodide: every adaptation is needed, and wrong versions are refused."""

from __future__ import annotations

import re

import pytest

from scripts import bundle
from scripts.project import SetupError


@pytest.fixture(scope="module")
def glue() -> str:
    return (bundle.PYODIDE / "pyodide.asm.mjs").read_text(encoding="utf-8")


def test_adapted_glue_no_longer_does_what_the_sandbox_forbids(glue: str) -> None:
    adapted = bundle.adapt_glue(glue)
    for forbidden in ("new WebAssembly.Module(", "Date.now", "crypto.getRandomValues("):
        assert forbidden in glue
        assert forbidden not in adapted
    assert adapted.startswith(bundle.PRELUDE)
    assert "export{_createPyodideModule}" in adapted


def test_library_data_comes_from_the_runtime(glue: str) -> None:
    adapted = bundle.adapt_glue(glue)
    assert adapted.count("function loadLibData(){") == 1
    assert bundle.LOAD_LIB_DATA + "function getExports(){" in adapted


@pytest.mark.parametrize("adaptation", bundle.ADAPTATIONS, ids=lambda adaptation: adaptation[0])
def test_an_adaptation_without_a_match_is_an_error(
    glue: str, adaptation: tuple[str, str, bundle.Replacement]
) -> None:
    purpose, pattern, _ = adaptation
    without = re.sub(pattern, "", glue, flags=re.DOTALL)
    with pytest.raises(SetupError, match=purpose):
        bundle.adapt_glue(without)


def test_the_installed_pyodide_is_one_workerd_knows() -> None:
    bundle.check_versions()


def test_a_pyodide_workerd_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "installed_version", lambda package: f"999.0.0-{package}")
    with pytest.raises(SetupError, match=r"does not know Pyodide 999\.0\.0-pyodide"):
        bundle.check_versions()
