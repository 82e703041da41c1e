"""The loop that asks models what a study wants to know, and where it runs."""
