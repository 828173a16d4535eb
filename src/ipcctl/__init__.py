"""ipcctl: a toolkit for processes and inter-process communication on Linux."""

__version__ = "0.1.0"
