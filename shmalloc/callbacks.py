"""Python callbacks by name: from a function to "module:qualname" and back, in every process.

Owns the rules about which functions can be named. Holds no function: each attachment keeps those it resolved.

What a callback is given and may return::

    ctor(mem: memoryview, size: int, arg: object, how: int) -> int | None   # None, 0, an errno, or raise
    init(mem: memoryview, size: int, how: int) -> int | None                # the same
    dtor(mem: memoryview, size: int, arg: object) -> None                   # an exception goes to sys.unraisablehook
    fini(mem: memoryview, size: int) -> None                                # the same
    maxaction(zone_name: str) -> None                                       # the same

``mem`` is valid during the call only. ``how`` holds M_WAITOK or M_NOWAIT, as the allocation was made.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from shmalloc.errors import CallbackUnresolvable

__all__ = ["Callback", "name_callback", "resolve"]

Callback = str | Callable[..., Any]


def name_callback(slot: str, callback: object, zone: str = "") -> str:
    """Name a function so that every process can find it.

    Parameters: slot: what it is for ("ctor"); callback: "package.module:name", or a module-level function.
    Returns: "module:qualname".
    Raises: CallbackUnresolvable: a lambda, closure, bound method, or anything that its name does not lead back to.

    >>> name_callback("ctor", "json:loads")
    'json:loads'
    """
    if isinstance(callback, str):
        module, colon, qualname = callback.partition(":")
        if not (colon and module and qualname):
            raise CallbackUnresolvable(
                zone=zone, callback=callback, detail=f"a {slot} is named as 'package.module:name'"
            )
        return callback
    qualname = getattr(callback, "__qualname__", "")
    module = getattr(callback, "__module__", None) or ""
    shown = f"{module}:{qualname}" if qualname else repr(callback)
    if not callable(callback):
        raise CallbackUnresolvable(zone=zone, callback=shown, detail=f"a {slot} is a function or its name")
    if "<lambda>" in qualname or "<locals>" in qualname:
        raise CallbackUnresolvable(
            zone=zone, callback=shown, detail="lambdas and functions made inside functions exist in one process only"
        )
    if not isinstance(getattr(callback, "__self__", None), type(sys) | None):
        raise CallbackUnresolvable(
            zone=zone, callback=shown, detail="a bound method belongs to an object of one process only"
        )
    if not (module and qualname) or _lookup(module, qualname) is not callback:
        raise CallbackUnresolvable(
            zone=zone, callback=shown, detail="its module and name do not lead back to it in this process"
        )
    return shown


def _lookup(module: str, qualname: str) -> object:
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def resolve(arena: str, zone: str, name: str) -> Callable[..., Any]:
    """Find the function behind a name, importing its module if need be.

    Raises: CallbackUnresolvable: no such module or name here, or it is not callable.
    """
    module, _, qualname = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as cause:
        detail = f"{type(cause).__name__}: {cause}"
        if module in ("__main__", "__mp_main__"):
            detail += "; this process's main program is another one than the program that made the zone"
        raise CallbackUnresolvable(arena=arena, zone=zone, callback=name, detail=detail) from cause
    if not callable(found):
        raise CallbackUnresolvable(arena=arena, zone=zone, callback=name, detail="it is not callable")
    function: Callable[..., Any] = found
    return function
