"""Catches messages of channels without an account, for the sandbox page of the embedded mode."""
