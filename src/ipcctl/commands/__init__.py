"""The subcommands, one file each: options, whether to show or to use, columns. They are listed in cli.py."""
