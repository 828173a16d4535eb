"""`ipcctl queue work`: a command for each message, and what becomes of a message when that or the worker ends."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from queues import Queue, is_watching, own_environment, runner, stat
from support import end_children, ipcctl, one_line, runs, see_orphans_end, started, wait_until


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return own_environment(tmp_path)


@pytest.fixture
def queue(env: dict[str, str]) -> Queue:
    return runner(env)


def figures(queue: Queue) -> tuple[int, ...]:
    """waiting, leased, dead, got."""
    found = stat(queue)
    return tuple(found[name] for name in ("waiting", "leased", "dead", "got"))


def log(env: dict[str, str]) -> list[str]:
    """The lines that commands wrote."""
    path = Path(env["LOG"])
    return path.read_text().splitlines() if path.exists() else []


def test_a_command_for_each_message(queue: Queue) -> None:
    queue("put", "q", "a b", "--", "-c")
    show = 'printf "%s|" "$@" "$IPCCTL_QUEUE" "$IPCCTL_MESSAGE_ID" "$IPCCTL_ATTEMPT"; echo'
    done = queue("work", "q", "--until-empty", "--", "sh", "-c", show, "sh", "{}", "<{}>")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["a b|<a b>|q|1|1|", "-c|<-c>|q|2|1|"]
    assert figures(queue) == (0, 0, 0, 2)


def test_the_message_on_stdin_and_no_stdin_else(queue: Queue) -> None:
    message = os.urandom(200_000)
    queue("put", "q", "--whole", text=False, data=message)
    done = queue("work", "q", "--stdin", "--until-empty", "--", "cat", text=False)
    assert (done.returncode, done.stdout) == (0, message)
    queue("put", "q", "x")
    done = queue("work", "q", "--until-empty", "--", "sh", "-c", "cat; echo {}", data="not for it")
    assert done.stdout == "x\n"


def test_several_at_once(queue: Queue, env: dict[str, str], tmp_path: Path) -> None:
    """Each waits until all four run: one after the other, they would wait for ever."""
    queue("put", "q", "1", "2", "3", "4")
    script = f"echo {{}} >> $LOG; until [ $(wc -l < $LOG) = 4 ]; do :; done; exec true {tmp_path}"
    assert queue("work", "q", "-j", "4", "--until-empty", "--", "sh", "-c", script).returncode == 0
    assert sorted(log(env)) == ["1", "2", "3", "4"]


def test_tried_again_then_dead_letters_then_revived(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "bad", "good")
    script = 'echo "{} $IPCCTL_ATTEMPT" >> $LOG; [ {} = good ] || kill -TERM $$'
    done = queue("work", "q", "--retries", "2", "--until-empty", "--", "sh", "-c", script)
    assert done.returncode == 1
    assert one_line(done.stderr) == "ipcctl queue: message 1 is a dead letter after 3 attempts: SIGTERM"
    assert log(env) == ["bad 1", "bad 2", "bad 3", "good 1"]
    assert figures(queue) == (0, 0, 1, 1)
    dead = json.loads(queue("peek", "q", "--dead", "--json").stdout)
    assert (dead["id"], dead["attempts"], dead["message"], dead["why"]) == (1, 3, "bad", "SIGTERM")
    done = queue("revive", "q", "9")
    assert (done.returncode, "no dead message 9" in one_line(done.stderr)) == (2, True)
    assert queue("revive", "q", "1").returncode == 0
    assert figures(queue) == (1, 0, 0, 1)
    assert queue("get", "q").stdout == "bad\n"
    assert queue("revive", "q").returncode == 1


def test_a_message_that_can_be_no_argument_is_a_dead_letter_at_once(queue: Queue) -> None:
    queue("put", "q", "--whole", data="a\0b")
    queue("put", "q", "--whole", data="x" * 131072)
    queue("put", "q", "x" * 131071)
    done = queue("work", "q", "--until-empty", "--", "test", "-n", "{}")
    assert done.returncode == 1
    assert "NUL" in done.stderr.splitlines()[0]
    assert "longer than an argument can be (131071 bytes); use --stdin" in done.stderr.splitlines()[1]
    assert figures(queue) == (0, 0, 2, 1)


def test_a_command_that_is_not_there_costs_no_message(queue: Queue) -> None:
    queue("put", "q", "1", "2", "3")
    done = queue("work", "q", "-j", "2", "--until-empty", "--", "./nosuchcommand", "{}")
    assert (done.returncode, "not found" in one_line(done.stderr)) == (127, True)
    assert figures(queue) == (3, 0, 0, 0)


def test_it_ends_when_the_queue_is_closed_and_empty(queue: Queue, env: dict[str, str]) -> None:
    with started("queue", "work", "q", "--", "sh", "-c", "echo {} >> $LOG", env=env) as worker:
        wait_until(lambda: queue("put", "q", "1").returncode == 0 and log(env))
        queue("put", "q", "2")
        queue("close", "q")
        assert (worker.communicate(), worker.returncode) == (("", ""), 0)
    assert log(env)[-1] == "2"
    assert figures(queue)[:3] == (0, 0, 0)


def test_a_killed_worker_gives_its_message_back_at_once(queue: Queue, env: dict[str, str]) -> None:
    """To one who waits for a message, and to one who waits for the end; no lease has to run out."""
    queue("put", "q", "m")
    queue("close", "q")
    script = "echo $IPCCTL_ATTEMPT >> $LOG; [ $IPCCTL_ATTEMPT = 2 ] || exec sleep 1000 # {}"
    with started("queue", "work", "q", "--", "sh", "-c", script, env=env) as worker:
        wait_until(lambda: log(env))
        with started("queue", "work", "q", "--until-empty", "--", "sh", "-c", script, env=env) as other:
            wait_until(lambda: is_watching(other.pid))
            assert figures(queue) == (0, 1, 0, 0)
            worker.kill()
            assert other.wait() == 0
    assert log(env) == ["1", "2"]
    assert figures(queue) == (0, 0, 0, 1)
    end_children()  # a killed worker's commands go on


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_ends_its_commands_and_gives_back(
    queue: Queue, env: dict[str, str], number: signal.Signals
) -> None:
    queue("put", "q", "1", "2", "3")
    script = "trap '' TERM; sleep 1000 & echo $$ $! >> $LOG; wait; wait # {}"
    args = ["queue", "work", "q", "-j", "2", "--grace", "50ms", "--", "sh", "-c", script]
    with started(*args, env=env) as worker:
        wait_until(lambda: len(log(env)) == 2)
        worker.send_signal(number)
        assert worker.communicate() == ("", "")
    assert worker.returncode == 128 + number
    assert not any(runs(int(pid)) for line in log(env) for pid in line.split())
    assert figures(queue) == (3, 0, 0, 0)
    waiting = map(json.loads, queue("peek", "q", "--all", "--json").stdout.splitlines())
    assert [each["attempts"] for each in waiting] == [1, 1, 0]


def test_a_command_that_takes_longer_than_its_lease_is_ended_with_its_tree(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "slow")
    script = "trap '' TERM; echo $$ >> $LOG; setsid sleep 1000 & echo $! >> $LOG; wait; wait # {}"
    args = ["--lease", "100ms", "--grace", "50ms", "--retries", "1", "--until-empty"]
    done = queue("work", "q", *args, "--", "sh", "-c", script)
    assert done.returncode == 1
    assert one_line(done.stderr).endswith("is a dead letter after 2 attempts: took longer than 0.1 s")
    assert len(log(env)) == 4
    assert not any(map(runs, map(int, log(env))))
    end_children()  # a killed worker's commands go on


def test_the_next_attempt_begins_when_nothing_of_the_last_is_left(queue: Queue, env: dict[str, str]) -> None:
    """What forked twice, left the session and ignores TERM is ended as well."""
    queue("put", "q", "slow")
    script = "for pid in $(cat $LOG 2>/dev/null); do kill -0 $pid 2>/dev/null && echo $pid >> $LOG.alive; done; "
    script += "(setsid sh -c 'trap \"\" TERM; echo $$ >> $LOG; exec sleep 1000' > /dev/null 2>&1 &); sleep 1000 # {}"
    done = queue("work", "q", "--lease", "300ms", "--grace", "50ms", "--retries", "2", "--until-empty", "--",
                 "sh", "-c", script)  # fmt: skip
    assert (done.returncode, figures(queue)) == (1, (0, 0, 1, 0))
    assert 1 <= len(log(env)) <= 3  # on a busy machine the time may be up before one has begun
    assert not Path(env["LOG"] + ".alive").exists()
    assert not any(map(runs, map(int, log(env))))


def test_a_time_out_ends_nothing_that_another_message_started(queue: Queue, env: dict[str, str]) -> None:
    """Neither a command that runs beside it, nor what one has left that ended by itself."""
    queue("put", "q", "left", "slow")
    script = "case {} in left) setsid sleep 1000 > /dev/null 2>&1 & echo $! >> $LOG;; slow) sleep 1000;; esac"
    args = ["-j", "2", "--lease", "500ms", "--grace", "50ms", "--retries", "0", "--until-empty"]
    done = queue("work", "q", *args, "--", "sh", "-c", script)
    assert one_line(done.stderr).endswith("took longer than 0.5 s")
    (pid,) = map(int, log(env))
    assert runs(pid)
    end_children()  # what it left


@pytest.mark.parametrize("ends", ["exit 3", "kill -TERM $$", "kill -KILL $$"])
def test_how_a_command_with_a_lease_ended_is_told(queue: Queue, ends: str) -> None:
    queue("put", "q", "m")
    args = ["--until-empty", "--retries", "0", "--", "sh", "-c", f": {{}}; {ends}"]
    without = queue("work", "q", *args)
    queue("revive", "q")
    done = queue("work", "q", "--lease", "100", *args)
    why = [each.stderr.rpartition(": ")[2] for each in (without, done)]
    assert why[0] == why[1] != ""


def test_a_command_with_a_lease_that_is_not_there(queue: Queue) -> None:
    queue("put", "q", "1")
    done = queue("work", "q", "--lease", "100", "--until-empty", "--", "nosuchcommand", "{}")
    assert (done.returncode, "not found on PATH" in one_line(done.stderr)) == (127, True)
    assert figures(queue) == (1, 0, 0, 0)


def test_the_message_of_a_stopped_worker_is_anothers_when_its_lease_is_over(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "m")
    script = "echo $$ >> $LOG; sleep 1000; : {}"
    with started("queue", "work", "q", "--lease", "20ms", "--grace", "0", "--", "sh", "-c", script, env=env) as worker:
        wait_until(lambda: log(env))
        worker.send_signal(signal.SIGSTOP)
        assert queue("get", "q").stdout == "m\n"
        worker.kill()
    end_children()  # a killed worker's commands go on
    assert figures(queue)[:3] == (0, 0, 0)


def test_workers_killed_at_random_moments_do_everything(queue: Queue, env: dict[str, str]) -> None:
    messages = [str(number) for number in range(60)]
    queue("put", "q", *messages)
    kills, at_once = 12, 3
    args = ["queue", "work", "q", "-j", str(at_once), "--until-empty", "--", "sh", "-c", "echo {} >> $LOG"]
    for number in range(kills):
        with started(*args, env=env) as worker:
            wait_until(lambda: is_watching(worker.pid) or worker.poll() is not None)
            time.sleep(number / 1000)  # any moment
            worker.kill()
    assert queue(*args[1:]).returncode == 0
    see_orphans_end()
    assert set(log(env)) == set(messages)
    assert len(log(env)) <= len(messages) + kills * at_once
    assert figures(queue) == (0, 0, 0, len(messages))


def test_a_daemon_that_a_command_left_is_left(queue: Queue, env: dict[str, str]) -> None:
    queue("put", "q", "1")
    script = "setsid sleep 1000 >/dev/null 2>&1 & echo $! >> $LOG # {}"
    assert queue("work", "q", "--until-empty", "--", "sh", "-c", script).returncode == 0
    (pid,) = map(int, log(env))
    assert runs(pid)
    end_children()  # a killed worker's commands go on


def test_its_help_says_what_happens_to_a_message() -> None:
    text = re.sub(r"\s+", " ", ipcctl("queue", "work", "--help").stdout)
    assert "The messages of a worker that is killed are requeued at once; the COMMANDs that it ran go on." in text


def test_with_a_lease_too_signals_reach_the_command(queue: Queue, env: dict[str, str], tmp_path: Path) -> None:
    """They are the command's to act on, whatever is between it and the worker."""
    queue("put", "q", "m")
    log = tmp_path / "signals"
    traps = f"trap 'echo USR1 >> {log}' USR1; trap 'exit 0' USR2"
    script = f"{traps}; echo up >> {log}; while :; do sleep 0.01; done # {{}}"
    with started("queue", "work", "q", "--lease", "1h", "--until-empty", "--", "sh", "-c", script, env=env) as worker:
        for number, wanted in ((None, "up\n"), (signal.SIGUSR1, "up\nUSR1\n"), (signal.SIGUSR1, "up\nUSR1\nUSR1\n")):
            if number is not None:
                worker.send_signal(number)
            wait_until(lambda wanted=wanted: log.exists() and log.read_text() == wanted)
        worker.send_signal(signal.SIGUSR2)
        worker.communicate()
    assert worker.returncode == 0
