"""Everything of an embedded installation as one foreground command: starts it, watches it, leaves nothing behind.

``child`` and ``guard`` (a tiny process beside each child) hold processes; ``broker``, ``processes`` and ``estate`` say
what to start; ``supervisor`` starts, restarts and stops; ``readiness`` asks the web server how far it is; ``run_lock``
lets one ``up`` at a time into a data directory. The command is ``a365admin/management/commands/up.py``.
"""
