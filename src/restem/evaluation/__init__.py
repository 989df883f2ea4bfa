"""Clips and arrays come in; scores that can be trusted, and what they rest on, go out."""
