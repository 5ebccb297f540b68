"""What goes into an export as it is: a verifier that needs no server, and words about it."""
