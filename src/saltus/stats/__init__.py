"""Statistics: arrays and a generator in, small typed results out; nothing here knows what a language model is."""
