"""How long people take and what they answer, counted by day, so that a page never reads requests.

`counting` works out one day from the rows themselves; `sweeping` finds the days that have changed;
`reading` adds days up for pages and for the API. Nothing is ever incremented: a day is counted
anew as a whole, so what was counted wrongly is right the next time.
"""
