"""The study this project grew from, its systems run as it describes them and measured: claims beside results.

A. Thornton, "MRI Image Compression with Deep Learning": figures and equations are cited by its numbers.
"""
