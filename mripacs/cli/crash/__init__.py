"""Kills a storage SCP while it is sent to, starts it again, and holds what it acknowledged against what it has."""
