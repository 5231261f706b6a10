"""The way out: query -> fetch -> decode -> check -> rebuild, and the checks of what is stored."""
