"""Keeps Redis current with Benzinga's analyst ratings, insights and consensus."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:  # or any name would count as one of this module's

    def __getattr__(name: str) -> str:
        """Look the version up for whoever asks.

        That takes longer than Python's own start, and the program is to listen for
        signals as soon as it can.
        """
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            return version("bzredis")
        except PackageNotFoundError:  # run from a checkout that nobody installed
            return "0+checkout"
