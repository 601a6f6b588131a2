"""What became of deliveries, told to an operator: ``tell.py`` gathers the facts, ``text.py`` writes them down."""
