"""The process: everything that touches a disk, a clock, a database or a network.

Start reading at ``ingest.py``, the story of one delivery; ``service.py`` is the loop around it.
"""
