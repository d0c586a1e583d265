"""Collectors: what is true of an environment and of a machine, read from files and never asked of the patient."""
