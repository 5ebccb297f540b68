"""When the database is older than what happened: nothing goes out until people have said how it is.

`gate` is asked before anything leaves; `noticing` finds out, begins and ends.
"""
