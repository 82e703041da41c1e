"""From a results table to findings and everything a report says about them."""
