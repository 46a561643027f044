"""Names a defect of the worker without its text, which may hold what the worker sees (decision record 0035)."""

from __future__ import annotations

import builtins
from types import TracebackType

LIBRARIES = ("av", "cv2", "msgspec", "numpy", "onnxruntime", "openvino", "pycuda", "pyrage", "tensorrt")
OURS = ("device", "engines")


def defect_text(fault: BaseException) -> str:
    """Class of an exception and the last line of ours that it passed: `TypeError in device.vision.align, line 40`.

    The class is named if it is one of Python's or of a library that a worker uses.
    """
    kind = type(fault)
    package = kind.__module__.partition(".")[0]
    known = getattr(builtins, kind.__name__, None) is kind or package in (*LIBRARIES, *OURS)
    name = kind.__name__ if known else "an exception of a library"
    return " ".join(filter(None, (name, _place(fault.__traceback__))))


def _place(trace: TracebackType | None) -> str:
    place = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in OURS:
            place = f"in {module}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
