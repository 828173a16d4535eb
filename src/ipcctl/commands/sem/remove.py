"""`ipcctl sem remove`: semaphores removed."""

from ..names import remove_command
from . import semaphores

command = remove_command("sem", semaphores)
