"""The README's fenced blocks: recipes to run as they stand, and examples whose output must keep its shape.

    python tools/readme.py [--update]    run every example; say which have another shape now, or write what they print

A ```bash block is a recipe: it is run as it stands. A ```console block is an example: `$ COMMAND`, and what it printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDS_WITHIN_S = 60.0
UNITS = "µs|ms|s|B|KiB|MiB|GiB|%"


@dataclass
class Block:
    """A fenced block: the heading it stands under, the paragraph before it, its language, its text and where it is."""

    heading: str
    intro: str
    language: str
    body: str
    start: int

    @property
    def name(self) -> str:
        """What a test's report calls it."""
        return f"{self.heading}: {self.body.strip().splitlines()[0]}"

    @property
    def needs(self) -> list[str]:
        """The programs that a recipe says it needs beyond a bare system: `# needs jq`."""
        return re.findall(r"^# needs (\S+)$", self.body, re.MULTILINE)


def blocks(language: str, text: str | None = None) -> list[Block]:
    """The README's blocks in that language, in order."""
    text = README.read_text() if text is None else text
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        heading = re.findall(r"^#+ (.*)$", FENCE.sub("", before), re.MULTILINE)[-1]
        intro = before.rstrip().rpartition("\n\n")[2]
        if match[1] == language:
            found.append(Block(heading.replace("`", ""), intro, language, match[2], match.start(2)))
    return found


def sessions(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of an example, each with what the README says that it prints."""
    for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def shell(script: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script by bash in an empty directory, this environment's ipcctl first on PATH; stderr goes with stdout.

    Named things are made in a directory of their own.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("IPCCTL_", "COLUMNS"))}
    env["PATH"] = f"{path or Path(sys.executable).parent}:{env['PATH']}"
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as names:
        env["IPCCTL_DIR"] = names
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", timeout=ENDS_WITHIN_S, check=False,
        )  # fmt: skip


def printed(command: str) -> str:
    """What an example's command prints, its exit status aside: an example may show a failure."""
    return shell(f"{command} || true").stdout


def shape(output: str) -> str:
    """The output without what differs from run to run: figures with their units, and the room that they take."""
    output = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.+-]+", "TIME", output)
    output = re.sub(rf"-?\b\d[\d.,:]*(e-?\d+)?( ({UNITS})(?!\w))?", "N", output)
    output = re.sub(r"[-─]{3,}", "---", output)
    output = re.sub(r"^skipped", "held", output, flags=re.MULTILINE)  # what cannot be checked is a machine's affair
    return re.sub(r"[ \t]+", " ", output).strip()


def main(args: list[str]) -> int:
    """Compare every example with what it prints now, or write that into the README; 1 where one differs."""
    text, differing = README.read_text(), 0
    for block in reversed(blocks("console", text)):
        body = ""
        for command, stated in sessions(block):
            output = printed(command)
            same = shape(output) == shape(stated)
            differing += not same
            body += f"$ {command}\n" + (stated if same else output.rstrip("\n") + "\n\n")
            print(f"{'same' if same else 'differs':8} {command}")
        text = text[: block.start] + body.rstrip("\n") + "\n" + text[block.start + len(block.body) :]
    if "--update" in args:
        README.write_text(text)
        return 0
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
