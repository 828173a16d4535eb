"""`ipcctl queue remove`: queues removed."""

from ..names import remove_command
from . import queues

command = remove_command("queue", queues)
