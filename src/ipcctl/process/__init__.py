"""Processes as the kernel sees them. Knows nothing of Click and prints nothing."""
