"""Published results in and out, one file per format."""
