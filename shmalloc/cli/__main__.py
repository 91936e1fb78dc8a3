"""`python -m shmalloc.cli`: the command line where its script is not on the path."""

from shmalloc.cli import main

if __name__ == "__main__":
    main()
