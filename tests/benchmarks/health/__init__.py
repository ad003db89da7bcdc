"""The parts of ``bench health``: what is asked (``targets``), the peers, our own processes, and how CPU is read."""
