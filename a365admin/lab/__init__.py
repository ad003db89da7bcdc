"""The demo estate: fake A365 servers and two authoritative DNS servers, on loopback, with faults that can be switched.

It is a demo and the test double of the whole suite. Only `seed.py`, `views.py` and `urls.py` know Django.
"""
