"""``stockgrip rebuild``: a replay of what was filed, to prove the database; a copy of the database, to move it."""
