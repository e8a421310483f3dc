"""`python -m figclip`, which torchrun needs."""

from figclip.cli import main

if __name__ == "__main__":
    main()
