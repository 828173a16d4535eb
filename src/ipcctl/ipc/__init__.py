"""Named things that several shells share: where they live, and what they are made of.  Knows nothing of Click."""
