"""Jobs run by a fixed number of slots: their inputs, their commands, their output, their records."""
