"""The figures of a queue, as `stat` and `list` have them."""

from __future__ import annotations

from ...report.model import Column

FIGURES = (
    Column("waiting", "integer", "messages that can be got"),
    Column("leased", "integer", "messages that a consumer has, and has not acknowledged"),
    Column("dead", "integer", "dead letters: messages that failed too often"),
    Column("put", "integer", "how many were ever put"),
    Column("got", "integer", "how many were ever acknowledged"),
    Column("held_bytes", "integer", "bytes of the messages waiting and leased"),
    Column("oldest_s", "real", "how long the oldest message has been there"),
    Column("max", "integer", "the most messages it takes, waiting and leased; unknown where there is no bound"),
    Column("full", "boolean", "whether a put would have to wait"),
    Column("empty", "boolean", "whether no message is waiting or leased"),
    Column("closed", "boolean", "whether puts are refused"),
    Column("durable", "boolean", "whether it outlasts a power cut"),
)
