"""Translates between GraphQL and the store, by noun."""
