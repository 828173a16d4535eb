"""`ipcctl sem list`: the semaphores that there are."""

from ..names import list_command
from . import FIGURES, semaphores

command = list_command("sem", semaphores, FIGURES)
