"""Policies and rules while somebody types them: everything a text, nothing judged yet.

A draft is what the form shows. It is read from a post (`posts`) or from a stored document, changed
by the form's buttons (`buttons`), and written as a document with a note of which field each part
came from, so that a fault finds its way back to where it was typed.
"""
