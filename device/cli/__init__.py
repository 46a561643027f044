"""The `lfr` command: the top floor of the device; the only one that reads the environment."""
