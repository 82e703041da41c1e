"""From findings to a page people read, figures, and a table for the terminal."""
