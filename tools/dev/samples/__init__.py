"""Photos for demos, tests and measurements, read out of pinned packages into the local cache; none is committed."""
