"""What must survive a power cut: tables, index, payloads, header references, queries, audit events, migrations' runner.

`Store` is the whole room for others; `migrate` has what `mripacs admin db` needs. The only room that knows SQLAlchemy,
Alembic and zstandard.
"""

from mripacs.store.adding import AddedInstance
from mripacs.store.store import Store

__all__ = ["AddedInstance", "Store"]
