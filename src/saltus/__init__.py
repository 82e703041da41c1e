"""saltus measures whether behaviours of large deep models emerge."""

__version__ = "0.1.0"
