"""`ipcctl shm list`: the shared values that there are."""

from ...report.model import Column
from ..names import list_command
from . import objects

FIGURES = (
    Column("ctype", "text", "the C type of its values, by multiprocessing's code"),
    Column("values", "integer", "how many values it has"),
    Column("value", "text", "what it holds; of many values the first"),
    Column("size_bytes", "integer", "how large the file is that is mapped"),
    Column("path", "text", "that file, for programs in other languages", in_table=False),
)

command = list_command("shm", objects, FIGURES)
