"""The messages of a demonstration of pipes: what its rows are made of."""

from __future__ import annotations

from ..report.report import Column

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
