"""The estate and its health."""
