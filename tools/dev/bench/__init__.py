"""Measures the product on a fixed clip beside the naive loop, and sweeps it over clips that it has never seen."""
