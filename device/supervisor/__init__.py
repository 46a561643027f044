"""Right of the bar: sign, lamps, conditions, workers, alerts. Never pixels, never templates."""
