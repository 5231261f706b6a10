"""The command line. One command group a file; every table has a --json form."""
