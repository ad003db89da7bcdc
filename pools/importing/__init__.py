"""The estate from files, and into a file: readers, difference, all-or-nothing apply."""
