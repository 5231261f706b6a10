"""A Dockerfile as data: stages of instructions, for tests that carry them out without an engine."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined: `RUN`, `COPY`, ... and the text behind it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The text split as a shell would."""
        return shlex.split(self.text)


@dataclass
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """The instructions of one kind, in order."""
        return [each for each in self.instructions if each.name == name]

    @property
    def environment(self) -> dict[str, str]:
        """What its ENV instructions set; each sets one variable."""
        return dict(word.split("=", 1) for each in self.all("ENV") for word in each.words)


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile. ValueError where the first instruction is no FROM."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: list[Stage] = []
    for line in filter(str.strip, re.sub(r"\\\n\s*", "", text).splitlines()):
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(base.strip(), alias.strip()))
        elif not stages:
            raise ValueError(f"{path} begins with {name}, not with FROM")
        else:
            stages[-1].instructions.append(Instruction(name, rest.strip()))
    return stages
