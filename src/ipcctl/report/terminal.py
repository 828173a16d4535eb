"""Text for a terminal: made safe, and then measured, cut and broken in the terminal's columns.

A wide character (East Asian, most emoji) takes two columns, a combining one none. Who measures has made the text safe
before: what `visible_line` leaves are printable characters alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MARK = "…"  # where text was cut
FIRST_COMBINING = "\u0300"  # each printable character before it takes one column
DRAWN = dict.fromkeys(map(ord, "…·–→►◄▲●×±⁹✓✗░╎╲─━│┌┐└┘├┤┬┴┼┓┗┿═"), "-")  # and each of these, which ipcctl writes
BREAK_AFTER = "_-./,:="

GAP = 2  # spaces between the columns of a table


def visible_line(line: str) -> str:
    """Return the text on one line, with nothing in it that a terminal would obey."""
    return line if line.isprintable() else "".join(map(visible_char, line))


def visible_char(char: str) -> str:
    """Return the character, or its escape if it does not show: a control, a bidirectional mark, a stray byte."""
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape holds it
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def is_narrow(text: str) -> bool:
    """Return whether each character takes one column, as far as can be told without wcwidth.

    To import that takes 5 to 50 ms, by its version: only text that may need it is worth them.
    """
    return text.isascii() or max(text.translate(DRAWN)) < FIRST_COMBINING


def display_width(text: str) -> int:
    """Return how many columns the text takes."""
    if is_narrow(text):
        return len(text)
    from wcwidth import wcswidth

    return wcswidth(text)


def padded(text: str, width: int, right: bool = False) -> str:
    """Return the text with spaces up to `width` columns; before it if it goes to the right."""
    space = " " * (width - display_width(text))
    return space + text if right else text + space


def cut(text: str, width: int) -> str:
    """Return the text in at most `width` columns, its cut end marked."""
    if display_width(text) <= width:
        return text
    return text[: _end_of_line(text, 0, max(width - 1, 0), is_narrow(text))] + MARK


def fold(text: str, width: int) -> list[str]:
    """Break the text into lines of at most `width` columns, all of it kept: different texts give different lines.

    A line ends before a space, which then begins the next one, or after a sign between words, or else anywhere.
    """
    lines: list[str] = []
    start, narrow = 0, is_narrow(text)
    while True:
        end = max(_end_of_line(text, start, width, narrow), start + 1)
        if end >= len(text):
            return [*lines, text[start:]]
        end = _better_end(text, start, end)
        lines.append(text[start:end])
        start = end


def wrap(text: str, width: int) -> list[str]:
    """Break prose into lines of at most `width` columns between its words; a longer word is folded."""
    return flow(text.split(), " ", width)


def flow(items: Iterable[str], separator: str, width: int) -> list[str]:
    """Set the items one after another, in lines of at most `width` columns; an item that is longer is folded."""
    lines: list[str] = []
    line = ""
    for item in items:
        joined = line + separator + item if line else item
        if display_width(joined) > width:
            lines += [line] if line else []
            *folded, joined = fold(item, width)
            lines += folded
        line = joined
    return [*lines, line]


def _end_of_line(text: str, start: int, width: int, narrow: bool) -> int:
    """Return where the longest piece from `start` ends that takes at most `width` columns."""
    if narrow:
        return min(start + width, len(text))
    for end, columns in _clusters(text, start):
        width -= columns
        if width < 0:
            break
        start = end
    return start


def _clusters(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the end and the columns of each character from `start` on, with those that take no column of their own."""
    from wcwidth import wcswidth, wcwidth

    while start < len(text):
        end = start + 1
        while end < len(text) and wcwidth(text[end]) == 0:
            end += 1
        yield end, wcswidth(text[start:end])
        start = end


def _better_end(text: str, start: int, end: int) -> int:
    """Return where the line from `start` had better end than at `end`: before spaces, or after a sign."""
    for better in range(end, start, -1):
        if text[better - 1] in BREAK_AFTER or (text[better] == " " and text[better - 1] != " "):
            return better
    return end
