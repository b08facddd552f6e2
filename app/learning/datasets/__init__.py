"""Labelled picture collections and their fixed splits."""
