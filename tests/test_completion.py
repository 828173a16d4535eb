"""Completion, as the shells ask for it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest
from support import DEADLINE_S, IPCCTL, clean_environment, ipcctl

from ipcctl.cli import ALL, COMMANDS
from ipcctl.demos import CONCEPTS
from ipcctl.report.model import FORMATS

SEARCH = f"{Path(IPCCTL).parent}:{os.environ['PATH']}"


def completed(line: str) -> list[str]:
    """What bash is told to complete the last word of the line with."""
    words = len(line.split(" ")) - 1
    env = clean_environment(_IPCCTL_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(words))
    done = ipcctl(env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return [value.removeprefix("plain,") for value in done.stdout.split()]


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("ipcctl ", list(ALL)),
        ("ipcctl for", ["fork"]),
        ("ipcctl fork --time", ["--timeout"]),
        ("ipcctl fork -f ", list(FORMATS)),
        ("ipcctl fork --format js", ["json", "jsonl"]),
        ("ipcctl fork --section ev", ["events"]),
        ("ipcctl fork -c ma", ["max_rss_kib", "max_rss_below_kib", "major_faults"]),
        ("ipcctl fork -c pid,wall_s,us", ["pid,wall_s,user_s"]),
        ("ipcctl fork --section checks -c i", ["id"]),
        ("ipcctl fork -c he", ["help"]),
        ("ipcctl tour ", list(CONCEPTS)),
        (f"ipcctl tour {CONCEPTS[0]} ", list(CONCEPTS[1:])),
        ("ipcctl nope ", list(ALL)),  # and no word of error in the middle of the line that is being typed
        ("ipcctl fork -- ", []),
        ("ipcctl fork ", ["cost"]),
        ("ipcctl fork --tri", ["--trials"]),
        ("ipcctl fork --cop", ["--copies"]),
        ("ipcctl fork -- --tri", []),
        ("ipcctl fork cost --r", ["--rss"]),
        ("ipcctl fork cost -c me", ["method", "median_s"]),
        ("ipcctl fork -n 2 -f js", ["json", "jsonl"]),
        ("ipcctl pipe ", ["duplex", "meter", "cost"]),
        ("ipcctl pipe m", ["meter"]),
        ("ipcctl pipe meter --lim", ["--limit"]),
        ("ipcctl double-fork stop --pid", ["--pidfile"]),
        ("ipcctl sem r", ["run", "resize", "remove"]),
        ("ipcctl ps -c meth", []),
        ("ipcctl ps -c pid,ol", ["pid,oldest_s"]),
        ("ipcctl help fo", ["fork"]),
        ("ipcctl help fork ", ["cost"]),
        ("ipcctl help nope ", []),
    ],
)
def test_candidates(line: str, candidates: list[str]) -> None:
    assert completed(line) == candidates


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_completes_its_options(name: str) -> None:
    assert {"--format", "--columns", "--help"} <= set(completed(f"ipcctl {name} --"))


def test_zsh_and_fish_are_told_the_same() -> None:
    asked = {"COMP_WORDS": "ipcctl fork -f js", "COMP_CWORD": "3"}
    done = ipcctl(env=clean_environment(_IPCCTL_COMPLETE="zsh_complete", **asked))
    assert (done.returncode, done.stdout.split()[1::3]) == (0, ["json", "jsonl"])
    asked["COMP_CWORD"] = "js"  # fish gives the word itself
    done = ipcctl(env=clean_environment(_IPCCTL_COMPLETE="fish_complete", **asked))
    assert (done.returncode, done.stdout.split()) == (0, ["plain,json", "plain,jsonl"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells_own(shell: str) -> None:
    done = ipcctl(env=clean_environment(_IPCCTL_COMPLETE=f"{shell}_source"))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_IPCCTL_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=done.stdout, text=True, check=False).returncode == 0


def test_a_tab_in_bash() -> None:
    pid, keyboard = pty.fork()
    if pid == 0:
        env = clean_environment(PATH=SEARCH, TERM="dumb", PS1="> ")
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
    try:
        os.write(keyboard, b'eval "$(_IPCCTL_COMPLETE=bash_source ipcctl)"; echo re""ady\n')
        read_until(keyboard, "ready")
        os.write(keyboard, b"ipcctl fork --section chec\t")
        read_until(keyboard, "ipcctl fork --section checks")
        os.write(keyboard, b"-c pid,st\x15exit\n")
        read_until(keyboard, None)
    finally:
        os.close(keyboard)
        os.waitpid(pid, 0)


def read_until(screen: int, wanted: str | None) -> None:
    """Read what a terminal shows until the text is there; None: until it is closed."""
    text = b""
    while wanted is None or wanted.encode() not in text:
        assert select.select([screen], [], [], DEADLINE_S)[0], f"{wanted!r} did not come: {text!r}"
        try:
            text += os.read(screen, 4096)
        except OSError:  # EIO: the last one that held the terminal has ended
            assert wanted is None, text
            return
