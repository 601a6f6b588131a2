"""Quality as people read it: today's picture, what a metric means, and how a value came about.

``picture.py`` asks and compares, ``why.py`` finds the words, ``text.py`` and ``explain_text.py`` make lines of them. The
judgements are those that the daemon has recorded; nothing is judged anew but how late a feed is at this moment.
"""
