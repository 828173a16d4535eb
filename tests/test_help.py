"""Help: every page is a screen, `ipcctl help` finds each of them, and a page shows all that can be given."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from support import clean_environment, ipcctl, one_line

from ipcctl.cli import cli
from ipcctl.commands.concept import Concept

LINES, COLUMNS = 50, 80


def words_of(command: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call each command, found by walking them."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from words_of(below, (*words, name))


ALL = list(words_of())
PAGES = pytest.mark.parametrize("words", ALL, ids=" ".join)


def command_at(words: tuple[str, ...]) -> click.Command:
    """The command that the words call."""
    found: click.Command | None = cli
    for word in words:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
    assert found is not None
    return found


def page(*args: str) -> str:
    """A page of help, as it is printed where nothing says how wide it may be."""
    done = ipcctl(*args, env=clean_environment(COLUMNS=str(COLUMNS)))
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


@PAGES
def test_a_page_is_a_screen_that_shows_every_option_verb_and_depth(words: tuple[str, ...]) -> None:
    command = command_at(words)
    text = page("help", *words)
    assert text.startswith("Usage: ipcctl")
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines())) <= COLUMNS
    both = command.both if isinstance(command, Concept) else [command]
    for option in (each for one in both for each in one.params if isinstance(each, click.Option)):
        assert any(switch in text for switch in option.opts), option.opts
    usages = text.partition("\n\n")[0].splitlines()
    verbs = command.verbs if isinstance(command, Concept) else {}
    assert len(usages) == len(both) + bool(verbs)
    for verb, help in verbs.items():
        assert f"  {verb} " in text
        assert " ".join(help.split()) in " ".join(text.split())


@pytest.mark.parametrize("words", [("fork",), ("pipe", "meter"), ("sem", "run"), ("ps",), ("tour",), ("help",)])
def test_help_prints_what_its_option_does(words: tuple[str, ...]) -> None:
    assert page("help", *words) == page(*words, "--help") == page(*words, "-h")


def test_alone_and_help_alone_print_the_help_of_all() -> None:
    assert page() == page("help") == page("--help") == page("-h")


def test_help_on_the_options_of_every_report() -> None:
    text = page("help", "output")
    for word in ("--format", "--columns", "--section", "--no-header", "--quiet", "--output", "CONCEPT_FIELD='value'"):
        assert word in text


def test_options_before_help_are_no_matter() -> None:
    assert page("fork", "--trials", "3", "-q", "--help") == page("fork", "-h") == page("fork", "--copies", "2", "-h")
    for dashes in (["--"], []):
        assert ipcctl("fork", "-q", *dashes, "sh", "-c", 'echo "$0"', "--help").stdout == "--help\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frok"], "no subcommand 'frok'; did you mean 'fork'?"),
        (["xyzzy"], "no subcommand 'xyzzy'; there are: fork, zombie"),
        (["pipe", "meterr"], "no verb 'meterr'; did you mean 'meter'?"),
        (["tour", "fork"], "'ipcctl tour' has no verbs; leave 'fork' out"),
        (["pipe", "meter", "x"], "'ipcctl pipe meter' has no verbs; leave 'x' out"),
        (["--nope"], "--nope"),
    ],
)
def test_what_has_no_help(words: list[str], told: str) -> None:
    done = ipcctl("help", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in one_line(done.stderr)
