"""The words: the field's, each found where it is promised, and none of a dialect that we once had."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import ROOT

SOURCE = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
README = (ROOT / "README.md").read_text("utf-8")
GLOSSARY = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## Words")[1].split("\n## ")[0]

# What each means is in the glossary; where it is a promise to users it is in the README and in a manual page as well.
PROMISES = {
    "atomic": "shm", "at least once": "queue", "acknowledged": "queue-work", "requeued": "queue-work",
    "dead letter": "queue-work", "deadline": None,
}  # fmt: skip
# Names that were ours alone, by what they are called now (CONTRIBUTING.md has the rest).
OLD = (
    "Bell", "NoBell", "Putter", "Getter", "Things", "ThingName", "NewestPid", "RunRecord", "JobRecord", "Passer",
    "Ledger", "Kin", "Feed", "Marks", "ReadySocket", "took_part", "carry_on", "let_go", "turn_into", "PUT_BACK",
    "how_sigchld_is_treated", "handles_up_to", "ever_shuts", "spared", "HELD", "adoption.py",
    "become.py", "newest.py", "outcome.py", "gate.py", "passing.py", "feed.py", "starter.py",
)  # fmt: skip


@pytest.mark.parametrize("word", PROMISES)
def test_what_is_promised_is_found_by_its_name(word: str) -> None:
    stem = re.compile(re.escape(word.removesuffix("d")), re.IGNORECASE)
    page = PROMISES[word]
    places = {"the source": SOURCE, "the README": README, "the glossary": GLOSSARY}
    if page is not None:
        places[page] = (ROOT / "man" / f"ipcctl-{page}.1").read_text("utf-8")
    assert [place for place, text in places.items() if not stem.search(" ".join(text.split()))] == []


@pytest.mark.parametrize("name", OLD)
def test_no_old_name_is_left(name: str) -> None:
    assert not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", SOURCE)


def test_the_glossary_has_some_twenty_words() -> None:
    assert 18 <= GLOSSARY.count("\n| ") - 2 <= 30


def test_the_tree_in_the_readme_is_the_tree() -> None:
    """Every folder that it speaks of is there."""
    named = set(re.findall(r"^\| `(\w+)/`", README, re.MULTILINE))
    assert named - {"tests"} <= {path.name for path in Path(ROOT / "src/ipcctl").iterdir()}
