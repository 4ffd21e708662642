"""Fails if a file of platform/ imports from a layer that is not below its own. The drawing in CONTRIBUTING.md is the table."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A system that the drawing does not name stands beside this one.
A_SYSTEM = "linux"


def heights() -> dict[str, int]:
    drawing = re.search(r"```text\n(src/.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert drawing, "CONTRIBUTING.md draws the layers, from src/ down"
    rows = [re.findall(r"\w+(?=/)|^Native", row) for row in drawing[1].splitlines()]
    return {name: -depth for depth, row in enumerate(rows) for name in row}


def imports(code: str, is_root: bool) -> list[str]:
    """What it names of its crate: a layer by its name, and what is no layer as it is written."""
    paths = re.findall(r"\bcrate::(?:platform::)?[\w{*]*", code.replace("(in crate::platform)", ""))
    upwards = re.findall(r"\bsuper::\w*" if is_root else r"\bsuper::super\b", code)
    return [path.removeprefix("crate::platform::") for path in paths] + upwards


def complaints() -> list[str]:
    height = heights()
    found = []
    for path in sorted((ROOT / "platform").glob("*/*.rs")):
        own, where = path.parent.name, path.relative_to(ROOT)
        code = re.sub(r"//.*", "", path.read_text())
        for name in imports(code, path.name == "mod.rs"):
            if name not in height:
                found.append(f"{where} imports {name}: name one layer, as crate::platform::kernel")
            elif name != own and height[name] >= height.get(own, height[A_SYSTEM]):
                found.append(f"{where} imports {name}, which is not below {own}/ in CONTRIBUTING.md")
            elif name != own and height[name] == height[A_SYSTEM]:
                found.append(f"{where} imports {name}: say Native")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(complaints()) or None)
