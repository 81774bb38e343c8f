"""The recipes of docs/extend.md, applied to a copy of the code."""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent


def apply(page: str, root: Path) -> list[str]:
    """Write the files and changed lines of a page's blocks under `root`; returns the files, in order."""
    touched = []
    for language, text in re.findall(r"```(\w+)\n(.*?)```", page, flags=re.DOTALL):
        first, rest = text.split("\n", 1)
        if language == "diff":
            name = first.removeprefix("--- ")
            change(root / name, rest.splitlines())
        elif language == "python" and first.startswith("# spherecorr/"):
            name = first.removeprefix("# ")
            (root / name).write_text(rest)
        else:
            continue
        touched.append(name)
    return touched


def change(path: Path, lines: list[str]) -> None:
    """Lines with " " and "-" stand in the file once, one after the other; those with " " and "+" replace them."""
    old, new = ("".join(f"{line[1:]}\n" for line in lines if line[:1] in kept) for kept in (" -", " +"))
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")
