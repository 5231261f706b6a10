"""The audit trail that both doors write: events of the database, and audit messages to syslog (PS3.15 A.5)."""
