"""A model of decide, expire, claim, crash and sweep, searched in full.

`moves` says what everybody can do next, step by step; its rules are the real ones: the tables of
moves and the guards of the code under test (`guards`). `search` tries every order of steps, with
crashes between any two; `promises` judges every state it meets and uses nothing of that code.
"""
