"""mripacs: a storage node for MR images."""

__version__ = "0.1.0"
