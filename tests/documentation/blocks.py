"""The code blocks of the pages: where they are, in which language, and which are not run, with the reason."""

import ast
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"lvc", "lvc-runtime", "pip", "make", "python", "pytest", "wandb", ".", "apt-get", "tensorboard"}
VARIABLE = re.compile(r"^[A-Z_]+=\S+ ")  # of the environment, before a command
MARK = re.compile(r"<!-- not run: (.+) -->")
# Blocks without a fence that are no code: what a command prints, or a diagram, by how they begin.
SHOWN = ("MyGenerator: batch equals", "cli, demo -> training", "data/corpora.py -> prepare.py")
LANGUAGES = {"bash": "shell", "sh": "shell", "python": "python", "yaml": "yaml", "toml": "toml", "text": "text"}


def pages() -> list[Path]:
    """All pages of the site that are kept as files, and the front page of the repository."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "recipes/README.md"]
    for pattern in ("docs/**/*.md", "plugins/*/README.md", "lightning_voiceclone/weights/*/MODEL_CARD.md"):
        found += sorted(ROOT.glob(pattern))
    return found


@dataclass(frozen=True)
class Block:
    """A block of code.

    Args:
        page: path of its page, relative to the repository.
        line: number of its first line.
        text: of the block.
        info: the language that its fence names; empty without a fence.
        reason: why it is not run; empty if it is.
    """

    page: str
    line: int
    text: str
    info: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @cached_property
    def language(self) -> str:
        """Shell, python, yaml, toml or text; of a block without a fence, by what it begins with."""
        if self.info:
            return LANGUAGES[self.info]
        if self.text.startswith(SHOWN):
            return "text"
        first = VARIABLE.sub("", self.text).split(None, 1)[0]
        if first in PROGRAMS:
            return "shell"
        ast.parse(self.text)  # nothing else stands without a fence
        return "python"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block, in the order of the block."""
        found: list[list[str]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(VARIABLE.sub("", line), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            for word in lexer:
                if set(word) <= set(";&|"):
                    found.append(words)
                    words = []
                else:
                    words.append(word)
            found.append(words)
        return [words for words in found if words]


def blocks_of(text: str, page: str) -> list[Block]:
    """The blocks of a page in Markdown: between fences, or indented by four spaces after an empty line."""
    lines = [*text.splitlines(), ""]
    found: list[Block] = []
    at, reason = 0, ""
    while at < len(lines):
        begin, line = at, lines[at]
        if mark := MARK.fullmatch(line.strip()):
            reason = mark[1]
            at += 1
        elif line.startswith("```"):
            at = next(i for i in range(begin + 1, len(lines)) if lines[i].startswith("```")) + 1
            found.append(Block(page, begin + 2, "\n".join(lines[begin + 1 : at - 1]), line[3:].split()[0], reason))
            reason = ""
        elif line.startswith("    ") and not (begin and lines[begin - 1].strip()) and not _in_list(lines, begin):
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            inner = [line[4:] for line in lines[begin:at]]
            found.append(Block(page, begin + 1, "\n".join(inner).rstrip(), "", reason))
            reason = ""
        else:
            reason = "" if line.strip() else reason
            at += 1
    return found


def _in_list(lines: list[str], at: int) -> bool:
    """Whether the nearest line before it that is not indented is an item of a list, or asks mkdocstrings for text."""
    before = next((line for line in reversed(lines[:at]) if line.strip() and not line.startswith(" ")), "")
    return before.startswith(("- ", "* ", ":::", ":   ")) or bool(re.match(r"\d+\. ", before))


def all_blocks() -> list[Block]:
    """Of all pages."""
    return [block for path in pages()
            for block in blocks_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))]  # fmt: skip
