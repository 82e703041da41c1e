"""What a checkpoint folder holds: weights and their hash, tokenizers, names, GGUF files."""
