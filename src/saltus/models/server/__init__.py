"""OpenAI-compatible servers, asked after a probe of what they can do."""
