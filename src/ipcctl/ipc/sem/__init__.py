"""Counting semaphores that shells share."""
