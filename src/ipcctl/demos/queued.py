"""The messages of queue's demonstration: what its rows are made of."""

from __future__ import annotations

from ..report.report import Column

QUEUED_COLUMNS = (
    Column("check", "text", "the check that the message was sent in"),
    Column("message", "text", "the message"),
    Column("producer_pid", "integer", "the process that put it"),
    Column("consumer_pid", "integer", "the process that got it"),
    Column("put_ms", "real", "when it was put, from the start of the demonstration"),
    Column("got_ms", "real", "when it was got"),
)
