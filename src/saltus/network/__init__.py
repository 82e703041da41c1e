"""Interventions and observations on open networks (room for a later release)."""
