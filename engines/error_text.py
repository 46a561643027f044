"""Text of a file's problem for users, from the exceptions of Python and of libraries."""

from __future__ import annotations


def error_text(fault: Exception) -> str:
    """Why a file could not be read. A message of this program in an exception is returned unchanged."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror[0].lower() + fault.strerror[1:]
    if isinstance(fault, UnicodeDecodeError):
        return f"no text in UTF-8 (byte {fault.start})"
    if isinstance(fault, EOFError):
        return "empty, or cut off"
    place = getattr(fault, "problem_mark", None)  # of YAML
    if place is not None:
        return f"line {place.line + 1}: {getattr(fault, 'problem', None) or 'not YAML'}"
    line = getattr(fault, "lineno", None)  # of JSON
    return f"broken in line {line}" if line is not None else str(fault)
