"""The one document a user writes, its lock, and templates for new ones."""
