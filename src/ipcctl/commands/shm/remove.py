"""`ipcctl shm remove`: shared values removed."""

from ..names import remove_command
from . import objects

command = remove_command("shm", objects)
