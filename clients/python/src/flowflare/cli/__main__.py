"""`python -m flowflare.cli`, where the script `flowflare` is not on the path."""

from flowflare.cli import main

if __name__ == "__main__":
    main()
