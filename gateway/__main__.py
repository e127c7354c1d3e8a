"""``python -m gateway`` is ``q2c``."""

from gateway.cli import main

if __name__ == "__main__":
    main()
