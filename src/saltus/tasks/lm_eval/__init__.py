"""Tasks of lm-evaluation-harness: its prompts, our scorer and statistics."""
