"""`ipcctl pool`: its checks, and what breaks the subject of each."""

from __future__ import annotations

ARGUMENTS = ["pool", "-j", "3", "--tasks", "7", "--seconds", "5ms"]
OPTIONS = {"workers": 2}
IDS = ["pool.default-size", "pool.apply-async-returns-at-once", "pool.get-gives-the-result", "pool.workers-are-reused",
       "pool.runs-in-parallel", "pool.order", "pool.close-refuses", "pool.join-waits",
       "pool.exception-reaches-get"]  # fmt: skip

# What the statement of a check speaks of, broken in one place: (check, the code, what stands there instead).
MUTATIONS = [
    ("default-size", "fork.Pool(workers, ", "fork.Pool((os.cpu_count() or 1) + 1, "),
    ("apply-async-returns-at-once", "self.pool.apply_async(task, args, kwds)", "self.pool.apply(task, args, kwds)"),
    ("get-gives-the-result", "number * number", "number + number"),
    ("get-gives-the-result", "return os.getpid(), started", "return os.getppid(), started"),
    ("workers-are-reused", "(signal.SIG_SETMASK, before)) as", "(signal.SIG_SETMASK, before), 1) as"),
    ("runs-in-parallel", "with a_pool(stage, workers) as tasks:\n        for number in range(1, 2 * workers + 1)",
     "with a_pool(stage, workers + 1) as tasks:\n        for number in range(1, 2 * workers + 1)"),
    ("runs-in-parallel", "barrier=barrier.reading)\n        moment", "barrier=None)\n        moment"),
    ("order", "values = [tasks.get(0), second_value]", "values = [second_value, tasks.get(0)]"),
    ("order", "tasks.submit(3, barrier=barrier.reading)", "tasks.submit(3)\n        first.wait()"),
    ("close-refuses", "        tasks.pool.close()\n        refused", "        refused"),
    ("join-waits", "        tasks.pool.close()\n        tasks.pool.join()\n", "        tasks.pool.close()\n"),
    ("join-waits", "refused = raised_by(tasks.pool.join)", "refused = raised_by(int)"),
    ("exception-reaches-get", "raise LookupError(text)", "return None"),
    ("exception-reaches-get", "raise LookupError(text)", "raise KeyError(text)"),
]  # fmt: skip
