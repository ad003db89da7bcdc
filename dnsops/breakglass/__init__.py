"""Changing DNS without a broker, a worker or a database: from a sealed bundle, with a journal.

``bundle``, ``files``, ``journal``, ``looking``, ``acting`` and ``sheet`` know no Django and no database; ``keeping``
and ``importing`` are the two ends at which they meet it: what is in the bundle, and what becomes of the journal.
"""
