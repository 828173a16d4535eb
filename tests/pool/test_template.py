"""The command of a job: what stands in a placeholder's place, as GNU parallel has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ipcctl.pool.template import Template

PATHS = ["a/b.c", "a.b/c", ".bashrc", "a/.x", "x.", "a.tar.gz", "/a", "a/b/", "/", "", "a b", "//a", "a//b"]


@pytest.mark.parametrize(
    ("words", "arguments", "argv"),
    [
        (["echo"], ["a"], ["echo", "a"]),
        (["echo", "-n"], ["a", "b"], ["echo", "-n", "a", "b"]),
        (["echo", "{}", "x"], ["a b"], ["echo", "a b", "x"]),
        (["echo", "{}", "x"], ["a", "b"], ["echo", "a", "b", "x"]),
        (["echo", "x{}y", "{}"], ["a", "b"], ["echo", "xa by", "a", "b"]),
        (["echo", "{#}"], ["a"], ["echo", "7"]),
        (["echo", "{%}-{}"], ["a"], ["echo", "3-a"]),
        (["{}", "x"], ["a"], ["a", "x"]),
        (["echo", "{/.}{.}"], ["d/a.b"], ["echo", "ad/a"]),
        (["echo", "{x}", "{}}", "{{}"], ["a"], ["echo", "{x}", "a}", "{a"]),
        (["echo", "", "{}"], ["{}"], ["echo", "", "{}"]),
    ],
)
def test_words(words: list[str], arguments: list[str], argv: list[str]) -> None:
    assert Template(words).argv(arguments, 7, 3) == argv


def test_a_shell_line_has_its_arguments_quoted() -> None:
    def line(*words: str) -> str:
        return Template(words, shell=True).argv(["a b;$(x)", "'"], 7, 3)[2]

    assert line("cat <", "{}") == """cat < 'a b;$(x)' ''"'"''"""
    assert line("cat") == """cat 'a b;$(x)' ''"'"''"""
    assert line("echo {#} $HOME") == "echo 7 $HOME"
    assert Template([], lines=True).argv(["echo $HOME"], 1, 1) == ["/bin/sh", "-c", "echo $HOME"]


def test_the_program_is_fixed_unless_the_argument_names_it() -> None:
    assert Template(["a", "{}"]).fixed_program
    assert Template([], lines=True).fixed_program
    assert not Template(["{}"]).fixed_program


@pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed")
def test_paths_as_gnu_parallel_has_them(tmp_path: Path) -> None:
    command = ["parallel", "-k", "-0", "-j1", "printf", "'<%s>'", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}"]
    env = {**os.environ, "HOME": str(tmp_path), "PARALLEL_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, input="\0".join(PATHS) + "\0", env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no GNU parallel: {done.stderr}")
    template = Template(["{}", "{.}", "{/}", "{//}", "{/.}", "{#}"])
    ours = ["".join(f"<{word}>" for word in template.argv([path], i, 1)) for i, path in enumerate(PATHS, 1)]
    assert done.stdout == "".join(ours)
