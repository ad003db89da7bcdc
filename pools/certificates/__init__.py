"""Certificates: what each server shows for each hostname, what has to be done, and the request for a new one."""
