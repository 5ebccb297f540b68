"""Measurements against real servers; each says on what machine, and writes its figures to docs/."""
