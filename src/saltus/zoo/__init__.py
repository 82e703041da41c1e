"""Small model series with known behaviour, trained here in minutes."""
