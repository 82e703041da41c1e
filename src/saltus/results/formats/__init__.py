"""Published results told by their content: one file per format."""
