"""Maintenance: a site, a front-end pool, a trusted application pool or a server taken out, for a time and a reason."""
