"""The command of a job, made of the command given and the job's arguments.

    {}   the argument             a/b.c        {#}  the job's number, from 1
    {.}  without its extension    a/b          {%}  its slot, from 1
    {/}  its last part            b.c
    {//} its directory            a            {/.} its last part without extension    b
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

PLACEHOLDER = re.compile(r"\{(?:|\.|/|//|/\.|#|%)\}")
SHELL = "/bin/sh"


def without_extension(path: str) -> str:
    """The path up to the last dot of its last part."""
    head, dot, tail = path.rpartition(".")
    return head if dot and "/" not in tail else path


def last_part(path: str) -> str:
    """What stands after the last slash."""
    return path.rpartition("/")[2]


def directory(path: str) -> str:
    """The directory of a path, "." where it names none (dirname(1))."""
    path = path.rstrip("/") or path[:1]
    head, slash, _ = path.rpartition("/")
    return (head.rstrip("/") or slash) or "."


TURNS: dict[str, Callable[[str], str]] = {
    "{}": str,
    "{.}": without_extension,
    "{/}": last_part,
    "{//}": directory,
    "{/.}": lambda path: without_extension(last_part(path)),
}


class Template:
    """What makes a job's argv of its arguments.

    A word that is a placeholder becomes as many words as the job has arguments; inside a word they are joined by
    spaces. Where there is no placeholder, the arguments are appended. `shell`: the words are one line for sh -c, and
    what is put into it is quoted. `lines`: the argument itself is such a line.
    """

    def __init__(self, words: Sequence[str], shell: bool = False, lines: bool = False) -> None:
        self.words = list(words)
        self.shell = shell
        self.lines = lines
        line = " ".join(words)
        has_any = any(map(PLACEHOLDER.search, words))
        if lines:
            self.argv = self._line_itself
        elif shell:
            self._pieces = pieces(line if has_any else line + " {}")
            self.argv = self._shell_line
        elif has_any:
            self._words = [(word, pieces(word)) for word in words]
            self.argv = self._replaced
        else:
            self.argv = self._appended

    argv: Callable[[Sequence[str], int, int], list[str]]  # of the arguments, the job's number, and its slot

    @property
    def fixed_program(self) -> bool:
        """Whether every job runs the same program."""
        return self.shell or self.lines or not PLACEHOLDER.search(self.words[0])

    def _line_itself(self, arguments: Sequence[str], seq: int, slot: int) -> list[str]:
        return [SHELL, "-c", " ".join(arguments)]

    def _appended(self, arguments: Sequence[str], seq: int, slot: int) -> list[str]:
        return [*self.words, *arguments]

    def _replaced(self, arguments: Sequence[str], seq: int, slot: int) -> list[str]:
        argv: list[str] = []
        for word, parts in self._words:
            if len(parts) == 1:
                argv += values(word, arguments, seq, slot)
            else:
                argv.append("".join(" ".join(values(part, arguments, seq, slot)) for part in parts))
        return argv

    def _shell_line(self, arguments: Sequence[str], seq: int, slot: int) -> list[str]:
        line = ""
        for part in self._pieces:
            found = values(part, arguments, seq, slot)
            line += part if found == [part] and not PLACEHOLDER.fullmatch(part) else " ".join(map(shlex.quote, found))
        return [SHELL, "-c", line]


def pieces(text: str) -> list[str]:
    """The text, cut before and after each placeholder."""
    found, end = [], 0
    for match in PLACEHOLDER.finditer(text):
        found += [text[end : match.start()], match[0]]
        end = match.end()
    return [piece for piece in [*found, text[end:]] if piece] or [""]


def values(piece: str, arguments: Sequence[str], seq: int, slot: int) -> list[str]:
    """What stands in a placeholder's place; any other text is itself."""
    turn = TURNS.get(piece)
    if turn is not None:
        return [turn(each) for each in arguments]
    if piece == "{#}":
        return [str(seq)]
    return [str(slot)] if piece == "{%}" else [piece]
