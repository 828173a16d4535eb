"""`ipcctl queue list`: the queues that there are."""

from ..names import list_command
from . import queues
from .columns import FIGURES

SHOWN_IN_LIST = ("waiting", "leased", "dead", "max", "closed", "durable")

command = list_command(
    "queue", queues, [each.but(shown=True, in_table=each.name in SHOWN_IN_LIST) for each in FIGURES]
)
