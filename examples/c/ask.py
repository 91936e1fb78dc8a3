"""Asks a C process questions through one shared arena: see answer.c.

Usage: python ask.py PATH_OF_ANSWER
"""

import os
import subprocess
import sys

import shmalloc

SENTENCES = ("one arena, two languages", "offsets, never pointers", "the item is not copied")


def main(program: str) -> list[str]:
    """Create an arena, start the C program on it, and return what came back."""
    name = f"example-c-{os.getpid()}"
    with shmalloc.Arena.create(name, max_size="16M") as arena:
        try:
            zone = arena.zone("sentence", size=256)
            questions, answers = arena.queue("questions"), arena.queue("answers")
            with subprocess.Popen([program, name, str(len(SENTENCES))]) as peer:
                for sentence in SENTENCES:
                    item = zone.alloc(shmalloc.M_WAITOK | shmalloc.M_ZERO)
                    item.write(sentence.encode())
                    questions.put(item, timeout=10)
                received = [answers.get(timeout=30).read().split(b"\0")[0].decode() for _ in range(len(SENTENCES) + 1)]
            if peer.returncode != 0:
                raise SystemExit(f"{program} ended with status {peer.returncode}")
        finally:
            arena.unlink()
    return received


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print("\n".join(main(sys.argv[1])))
