"""A transcript's lines: text where it is text, and every byte of what is not."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcctl.ipc.pipe.transcript import Transcript, whole_characters


def written(path: Path, pieces: Sequence[bytes]) -> list[dict[str, Any]]:
    """What a transcript has of these pieces."""
    transcript = Transcript(str(path))
    for piece in [*pieces, b""]:
        transcript.note("A>B", piece, 0.0, 0.0)
    transcript.write()
    transcript.close()
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"plain\n"], ["plain\n"]),
        (["é".encode()[:1], "é".encode()[1:]], ["é"]),
        (["a€".encode()[:-1], "€b".encode()[-2:]], ["a", "€b"]),
        ([b"\xff\xfe"], [None]),
        (["é".encode()[:1]], [None]),
        ([b"\0"], ["\0"]),
    ],
)
def test_text_is_cut_between_characters_only(pieces: list[bytes], lines: list[str | None], tmp_path: Path) -> None:
    found = written(tmp_path / "said", pieces)
    assert [each["text"] for each in found[:-1]] == lines
    assert (found[-1]["closed"], found[-1]["said_bytes"]) == (True, 0)


@given(st.lists(st.binary(min_size=1, max_size=9)))
def test_no_byte_is_lost(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    found = written(tmp_path_factory.getbasetemp() / "said", pieces)
    said = [(each["text"] or "").encode() or base64.b64decode(each["base64"] or "") for each in found]
    assert b"".join(said) == b"".join(pieces)


def test_whole_characters() -> None:
    assert [whole_characters("a€".encode()[:end]) for end in range(5)] == [0, 1, 1, 1, 4]
