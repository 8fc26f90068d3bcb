"""The table of values and their forms, which every writer of values is held to.

`javascript` and `python` are expressions, null if the language has no such value. `form` is what is
recorded; without it that is the value itself, and of a TRUNCATED one it has the beginning of the
preview only. `documented` cases are the rows of the table in docs/values.md.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from scripts.project import ROOT

Case: TypeAlias = dict[str, Any]

CASES: list[Case] = json.loads(
    (ROOT / "tests/support/value_forms.json").read_text(encoding="utf-8")
)
