"""Models that Inspect reaches, and our models for Inspect."""
