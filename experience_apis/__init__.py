"""For whom: one folder per audience. They know commands and read models, never how a process works."""
