"""What many lives come to, in words."""

from collections.abc import Iterable, Sequence


def convergence_told(lives: Iterable[tuple[float, bool]]) -> str:
    """R4, of each life's seconds, and whether it waited for an order that never arrived.

    Of such an order nobody may say so before SUBMIT_LOST_AFTER, so they are also left out.
    """
    every = list(lives)
    rest = [took for took, absent in every if not absent]
    return (
        f"From the last fault to the venue's truth: {_spread([took for took, _ in every])}. "
        f"{len(every) - len(rest)} of {len(every)} lives waited for an order that never arrived; "
        f"in the others {_spread(rest)}."
    )


def percentile(values: Iterable[float], hundredths: int) -> float:
    """The least of them that so many of a hundred do not exceed; 0 of none."""
    ordered = sorted(values)
    place = -(-len(ordered) * hundredths // 100) - 1
    return ordered[place] if ordered else 0.0


def _spread(took: Sequence[float]) -> str:
    half, most, last = (percentile(took, share) for share in (50, 99, 100))
    return f"half within {half:g} s, 99 of 100 within {most:g} s, all within {last:g} s"
