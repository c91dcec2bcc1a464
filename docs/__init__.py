"""The documentation, the extensions that build its site, and the programs that make its pictures."""
