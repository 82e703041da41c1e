"""Networks asked in this process: reading, packing, scoring and generating."""
