"""Learned previews: a picture of a slice in a few hundred bytes, and the models that make them."""
