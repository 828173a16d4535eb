"""Pipelines and conversations of commands, the relay between them, and what each kind of pipe costs."""
