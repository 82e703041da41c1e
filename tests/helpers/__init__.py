"""What tests share: curves of known truth, small studies, servers and files to read. No tests stand here."""
