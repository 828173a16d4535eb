"""The report that every subcommand makes, and the formats it is written in. Only this package prints."""
