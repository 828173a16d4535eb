"""`ipcctl pool`: the concept shown, or jobs of the user's own run so many at a time, with a record for each."""

from ..command import OF_MANY
from ..concept import Concept

command = Concept(
    __name__,
    """See a pool of workers, or run jobs of your own, so many at a time.

    With COMMAND, it runs COMMAND once for each argument: a line of stdin or of -a FILE, or what follows `:::`. The
    argument stands where COMMAND has {}, and a part of it where it has {.}, {/}, {//} or {/.}; else it is appended. It
    never goes through a shell. The report, a record for each job, goes to stderr or to -o FILE. The exit status is 1
    when a job failed, 124 when all that failed timed out.
    """,
    use="run",
    manual="""
    Alone, it gives a multiprocessing.Pool tasks, and checks every statement of the concept against what the kernel
    shows.

    \b
      {}   the argument           a/b.c      {#}   the job's number, from 1
      {.}  without extension      a/b        {%}   the slot it runs in, from 1
      {/}  its last part          b.c
      {//} its directory          a
      {/.} its last part without extension   b

    --halt says what the first failure ends: never, no job; soon, those that have not been started; now, those that run
    as well. --resume skips the jobs that succeeded in the --joblog and adds to it; --retry-failed reads no input, and
    runs the jobs that failed there.

    A job's output is kept apart and passed on when the job ends; its stdin is empty. The table of the report has the
    failed jobs and the summary. What a job that ended by itself leaves running is left; what that writes later is
    passed on as long as ipcctl runs. A time-out ends a job's whole tree; Ctrl-C and --halt now end every job's, and
    what jobs left running.
    """
    + OF_MANY,
)
