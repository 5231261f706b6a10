"""The index with a million instances: made up, filled in, asked, measured."""
