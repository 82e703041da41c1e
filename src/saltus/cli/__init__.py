"""The command line: `main` holds the commands, `show` what they print, `options` what they share."""
