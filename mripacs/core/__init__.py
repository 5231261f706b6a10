"""Words that all rooms share: errors, values, settings, logging. Imports no other room."""
