"""The code that docs/receiving.md shows: what receivers copy is what is tested."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable

DOCS = Path(os.environ.get("BELLWIRE_DOCS") or Path(__file__).resolve().parents[3] / "docs")


def snippet(name: str) -> Callable[..., Any]:
    """A fresh copy of the function, from the one Python block of receiving.md that has it."""
    text = (DOCS / "receiving.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found = [code for code in blocks if f"def {name}(" in code]
    assert len(found) == 1, f"{len(found)} blocks of receiving.md have {name}"
    module: dict[str, Any] = {}
    exec(compile(found[0], f"receiving.md: {name}", "exec"), module)
    return module[name]
