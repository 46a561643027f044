"""Searches for pictures and templates of passers-by in the memory of a process and on disks, where none may remain."""
