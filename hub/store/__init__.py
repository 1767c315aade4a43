"""What is remembered: PostgreSQL through asyncpg, the SQL beside the code that runs it.

Row locks are taken in one module, :mod:`hub.store.locks`, in one order: documents, accounts, stock, each by key.
"""
