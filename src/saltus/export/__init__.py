"""Tables, logs and records that other tools read."""
