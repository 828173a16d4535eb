"""The C types that a shared value can have, by multiprocessing's codes: their ranges, values as text and as bytes."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Sequence
from math import isinf
from typing import Any

from ...errors import BadInput

Value = int | float | bytes | str  # bytes is one char, str one wide character
INTEGER = re.compile(r"[+-]?[0-9]+")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
MOST_DIGITS = 30  # of any C integer; so int() is never asked for a million
NAMES = {
    "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
    "l": "long", "L": "unsigned long", "q": "long long", "Q": "unsigned long long", "f": "float", "d": "double",
    "c": "char", "u": "wchar_t",
}  # fmt: skip


class OutOfRange(BadInput):
    """A number that a C type cannot hold; nothing was changed."""


class CType:
    """One C type: its code, its name in C, and the bytes that a value takes."""

    def __init__(self, code: str) -> None:
        if code not in NAMES:
            raise BadInput(f"{code!r} is no ctype; there are: {', '.join(NAMES)}")
        self.code = code
        self.name = NAMES[code]
        self.cell = "I" if code == "u" else code  # what a memoryview and struct know it as
        self.size = struct.calcsize(self.cell)
        self.is_text = code in "cu"
        self.is_real = code in "fd"
        bits = 8 * self.size
        self.low, self.high = (-1 << bits - 1, (1 << bits - 1) - 1) if code.islower() else (0, (1 << bits) - 1)

    def __str__(self) -> str:
        return f"{self.code!r} ({self.name})"

    def parse(self, text: str) -> Value:
        """The value that the text says. Raises BadInput, OutOfRange."""
        if self.is_text:
            return self._parse_character(text)
        if not (REAL if self.is_real else INTEGER).fullmatch(text):
            raise BadInput(f"{text[:40]!r} is no {'number' if self.is_real else 'integer'}; the ctype is {self}")
        if self.is_real:
            value = self.fitting(float(text), text)
            if isinf(value) and text.lstrip("+-")[0] not in "iI":
                raise self.out_of_range(text)
            return value
        if len(text) > MOST_DIGITS:
            raise self.out_of_range(text)
        return self.fitting(int(text), text)

    def _parse_character(self, text: str) -> bytes | str:
        if self.code == "c":
            char = text.encode("utf-8", "surrogateescape")
            if len(char) != 1:
                what = f"{text[:40]!r} has {len(char)} bytes"
                raise BadInput(f"{what}; ctype 'c' takes one each: `from_stdin` takes them all")
            return char
        if len(text) != 1 or is_surrogate(ord(text)):
            raise BadInput(f"{text[:40]!r} is no single character; give ctype 'u' one each")
        return text

    def fitting(self, value: int | float, said: str = "") -> int | float:
        """The number, as the type holds it. Raises OutOfRange."""
        if isinstance(value, int) and not self.is_real:
            if not self.low <= value <= self.high:
                raise self.out_of_range(said or str(value))
            return value
        try:
            real: float = struct.unpack(f"={self.code}", struct.pack(f"={self.code}", value))[0]
        except OverflowError:
            raise self.out_of_range(said or str(value)) from None
        return real

    def out_of_range(self, said: str) -> OutOfRange:
        """That a number is outside the type's range, with the range."""
        said = said if len(said) <= MOST_DIGITS else f"{said[:20]}… ({len(said)} characters)"
        if self.is_real:
            remedy = "; give `ctype` d" if self.code == "f" else ""
            return OutOfRange(f"{said} is outside the range of ctype {self}{remedy}")
        return OutOfRange(f"{said} is outside the range of ctype {self}, {self.low} to {self.high}")

    def pack(self, values: Sequence[Value]) -> bytes:
        """The values as C has them, one after the other."""
        if self.code == "c":
            return b"".join(values)  # type: ignore[arg-type]
        return struct.pack(f"{len(values)}{self.cell}", *map(self.stored, values))

    def unpack(self, raw: bytes | memoryview) -> list[Value]:
        """The values in those bytes."""
        return [self.shown(each) for each in self.cells(memoryview(raw))]

    def cells(self, raw: memoryview) -> Any:
        """The bytes as cells, to be read and, one by one, written: each by one load or store."""
        return raw.cast(self.cell)  # type: ignore[call-overload]

    def shown(self, cell: Value) -> Value:
        """A cell as a value: a wide character is a number in memory."""
        if self.code != "u":
            return cell
        assert isinstance(cell, int)
        return "\N{REPLACEMENT CHARACTER}" if cell > sys.maxunicode or is_surrogate(cell) else chr(cell)

    def stored(self, value: Value) -> Value:
        """A value as a cell."""
        return ord(value) if self.code == "u" else value  # type: ignore[arg-type]


def is_surrogate(code: int) -> bool:
    """Whether it stands for no character of its own: half of one in UTF-16, or a byte that is no UTF-8."""
    return 0xD800 <= code <= 0xDFFF


def fitting_for(texts: Sequence[str]) -> CType:
    """The type for values given without one: 64-bit integers, or doubles where one of them is no integer."""
    if all(INTEGER.fullmatch(each) for each in texts):
        return CType("q")
    wrong = next((each for each in texts if not REAL.fullmatch(each)), None)
    if wrong is not None:
        raise BadInput(f"{wrong[:40]!r} is no number; give `ctype` c for characters, or `from_stdin` for bytes")
    return CType("d")


def text_of(value: Value) -> str:
    """The value as a script reads it: a number so that it reads back the same."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else repr(value)
