"""Say what bounds the speed of an extraction, and which flag would help."""

from __future__ import annotations

from embedcache.extraction.records import Timings

__all__ = ["bottleneck"]


def bottleneck(timings: Timings, embedded: int, device: str, workers: int) -> str | None:
    """One sentence, or `None` where there was too little work to tell.

    Args:
        timings: Where the seconds went.
        embedded: Images that went through the backbone.
        device: `cpu`, or the accelerator's name.
        workers: Threads that read and decoded.
    """
    if timings.total < 1.0 or not embedded:
        return None
    stages = {"forward": timings.forward, "write": timings.write, "wait": timings.wait}
    stage = max(stages, key=lambda name: stages[name])
    if stages[stage] < timings.total / 2:
        return None  # starting up took as long: a larger run will tell
    share = f"{100 * stages[stage] / timings.total:.0f} % of the time"
    if stage == "forward":
        help_ = "a GPU (--device cuda)" if device == "cpu" else "a larger --batch-size"
        return (
            f"bound by the forward pass on {device} ({share}); {help_} would help,\n"
            "or --precision bfloat16: --dry-run measures its gain and its drift"
        )
    if stage == "write":
        return f"bound by writing ({share}); a faster disk for --cache-dir would help"
    if timings.read > timings.decode:
        return f"bound by reading ({share}); a faster or nearer disk would help, or more -j"
    return f"bound by decoding ({share}) on {workers} threads; more cores and -j would help"
