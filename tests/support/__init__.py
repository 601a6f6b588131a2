"""What the tests share: a real PostgreSQL server, databases, files, dumps and processes."""
