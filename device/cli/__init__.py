"""The `lfr` command: the floor on which everything meets; the only one that reads the environment."""
