"""What the rows of the demonstrations are made of: apart from them, for whoever needs to know it before one is run."""

from __future__ import annotations

from ..report.model import Column

# any: the processes that take part, and those that ps makes
PROCESS_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("ppid", "integer", "its parent when it was started"),
    Column("role", "text", "which process of the concept it is"),
    Column("check", "text", "the check that it took part in; the parent, in all"),
    Column("started_ms", "real", "when it was started, from the start of the demonstration"),
    Column("ended_ms", "real", "when it was waited for"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it"),
    Column("signal", "text", "the signal that ended it"),
)
STATE_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("made", "text", "the state or mark that it was made to show"),
    Column("stat", "text", "what the kernel shows for it"),
    Column("meaning", "text", "that in words"),
    Column("how", "text", "how it was brought there"),
    Column("skipped", "text", "why it could not be made on this machine"),
)

# zombie
STRATEGY_COLUMNS = (
    Column("strategy", "text", "what the parent does about children that exit"),
    Column("children", "integer", "how many it had"),
    Column("zombies_at_peak", "integer", "the most zombies at once, as /proc shows them"),
    Column("zombies_left", "integer", "zombies once all had exited and the parent had done what it does"),
    Column("statuses", "integer", "exit statuses that the parent collected"),
    Column("blocked_ms", "real", "how long the parent was blocked in wait"),
)

# orphan
ADOPTED_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("role", "text", "which process of the concept it is"),
    Column("check", "text", "the check that it took part in"),
    Column("parent_before_pid", "integer", "its parent at first"),
    Column("parent_after_pid", "integer", "its parent once that had ended"),
    Column("adopter", "text", "the program that is the new parent"),
    Column("adoption_ms", "real", "from the parent's last act until the child had another parent"),
    Column("reaped_by_pid", "integer", "who waited for it; unknown where nobody can tell"),
    Column("exit_code", "integer", "what it gave to exit, where that is known"),
)

# double-fork
GENERATION_COLUMNS = (
    Column("pid", "integer", "the process"),
    Column("ppid", "integer", "its parent, when it was looked at"),
    Column("pgid", "integer", "its process group then"),
    Column("sid", "integer", "its session then"),
    Column("terminal", "text", "its controlling terminal then"),
    Column("role", "text", "which generation it is"),
    Column("did", "text", "what it did"),
    Column("check", "text", "the check that it took part in; the parent, in all"),
    Column("started_ms", "real", "when it was started, from the start of the demonstration"),
    Column("ended_ms", "real", "when it was waited for"),
    Column("exit_code", "integer", "what it gave to exit; unknown when a signal ended it"),
    Column("signal", "text", "the signal that ended it"),
)

# pool
TASK_COLUMNS = (
    Column("task", "integer", "the task's number, in the order of submission"),
    Column("worker_pid", "integer", "the worker that did it"),
    Column("submitted_ms", "real", "when it was given to the pool, from the start of the demonstration"),
    Column("started_ms", "real", "when the worker began it"),
    Column("ended_ms", "real", "when the worker had done it"),
    Column("result", "text", "what get gave, or raised"),
    Column("check", "text", "the check that it belonged to"),
)

# pipe
MESSAGE_COLUMNS = (
    Column("check", "text", "the check in which it was sent"),
    Column("pipe", "text", "what made the pipe"),
    Column("message", "text", "what was sent; of a long one, its length"),
    Column("sender_pid", "integer", "the process that sent it"),
    Column("sender", "text", "which process of the concept that is"),
    Column("receiver_pid", "integer", "the process that received it; unknown where nobody did"),
    Column("receiver", "text", "which process of the concept that is"),
    Column("sent_ms", "real", "when it began to be sent, from the start of the demonstration"),
    Column("received_ms", "real", "when it had been received"),
)

# queue
QUEUED_COLUMNS = (
    Column("check", "text", "the check that the message was sent in"),
    Column("message", "text", "the message"),
    Column("producer_pid", "integer", "the process that put it"),
    Column("consumer_pid", "integer", "the process that got it"),
    Column("put_ms", "real", "when it was put, from the start of the demonstration"),
    Column("got_ms", "real", "when it was got"),
)

# shm
EXPERIMENT_COLUMNS = (
    Column("experiment", "text", "what was tried"),
    Column("check", "text", "the check that it belongs to"),
    Column("updates", "integer", "how many updates the processes made together, where they were counted"),
    Column("expected", "text", "what memory that every process sees would hold in the end"),
    Column("found", "text", "what it held"),
    Column("lost", "integer", "updates that were overwritten by one that did not know of them"),
    Column("wall_ms", "real", "how long it took"),
)

# sem
TURN_COLUMNS = (
    Column("task", "integer", "the task, in the order in which they were started"),
    Column("pid", "integer", "its process"),
    Column("waited_s", "real", "from its call of acquire until that returned"),
    Column("entered_ms", "real", "when that was, from the start of the demonstration"),
    Column("left_ms", "real", "when it called release"),
    Column("value_seen", "integer", "what get_value told it when it was inside: the slots still free"),
    Column("inside", "integer", "how many were inside when it had entered, itself included"),
)
