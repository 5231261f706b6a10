"""`mripacs bench node`: servers side by side, asked the same by a client that costs next to nothing."""
