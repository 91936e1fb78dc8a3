"""What the interpreter itself asks for: modules and memory."""

from faultinj.run.places.place import Place

__all__ = ["INTERPRETER"]

INTERPRETER = (
    Place("import", (), ImportError, "a module cannot be found or loaded", looks=True),
    Place("memory.alloc", (), MemoryError, "the interpreter gets no memory", alone=True, looks=True),
)
