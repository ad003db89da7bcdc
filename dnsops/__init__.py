"""Changing DNS: failover and failback, safely."""
