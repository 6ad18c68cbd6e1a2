"""The program: `bzredis`, or `python -m bzredis`."""

from __future__ import annotations

from bzredis.cli import bzredis


def main() -> None:
    """Run the command line; every way out ends the process with its exit code."""
    bzredis.main(prog_name="bzredis")


if __name__ == "__main__":
    main()
