"""Kantata OX: sold services as a project with a task per service line. Read connector.py first."""
