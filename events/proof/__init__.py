"""Proof that the log is what it was: checkpoints over all chains, verification, and export."""
