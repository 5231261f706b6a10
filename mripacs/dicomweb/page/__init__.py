"""The node's own page: studies, pictures, certificates, storage and health, rendered here, for people in a browser.

Nothing comes from elsewhere: no outside script, font or style; the policy sent with every answer forbids it.
"""
