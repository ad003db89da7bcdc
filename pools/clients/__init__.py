"""Clients: what is entered in each, and the inventory of those that are installed."""
