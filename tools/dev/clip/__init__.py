"""Seeded crowd clips made of real photos, with ground truth: for the demo, the tests and the bench."""
