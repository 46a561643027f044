"""Looks for what must not be there: pictures and templates of passers-by in the memory of a process and on disks."""
