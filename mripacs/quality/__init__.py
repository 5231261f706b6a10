"""How good a codec is: coders side by side on real slices, curves, error maps and generation chains."""
