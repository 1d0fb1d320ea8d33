"""The python runtime's own code. User code sees only the module `petrel`."""
