"""What follows a delivery: features, quality, alerts. It never delays or undoes a load; start reading at ``steps.py``."""
