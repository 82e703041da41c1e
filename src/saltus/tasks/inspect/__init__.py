"""Tasks of Inspect, asked of any series and scored from stored answers."""
