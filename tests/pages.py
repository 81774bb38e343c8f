"""What is written in the repository's Markdown pages: their blocks, commands, headings and links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent


def read(page: str) -> str:
    """A page of the repository, without the YAML that README begins with."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of some languages, in order."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", read(page), flags=re.DOTALL | re.MULTILINE)


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)


def lines(page: str) -> list[str]:
    """The command lines of the page's bash blocks, each whole."""
    return [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]


def own_commands(page: str) -> list[list[str]]:
    """What follows `spherecorr` in each line that calls it, alone or under accelerate."""
    calls = (re.search(r"(?:^|--no_python )spherecorr ([^#]*)", line) for line in lines(page))
    return [shlex.split(call[1]) for call in calls if call]


def anchors(page: str) -> set[str]:
    """What GitHub calls the page's headings in addresses."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Where the page's links and pictures lead, addresses of the web left out."""
    return re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page))
