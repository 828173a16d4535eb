"""Ways for processes to speak to each other, usable from Python without the command line."""
