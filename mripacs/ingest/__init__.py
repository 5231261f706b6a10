"""The way in: receive -> policy -> compress -> prove -> commit. One door for C-STORE, local import and the API."""
