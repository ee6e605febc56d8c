"""Events leave through one loop, and so through one connection."""

import asyncio
import threading
from typing import Any

import pytest

from speedtrade.lib import live


class Layer:
    """Remembers in which loop it was asked to send."""

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.enough = threading.Event()

    async def group_send(self, group: str, event: dict[str, Any]) -> None:
        self.loops.append(asyncio.get_running_loop())
        if len(self.loops) == 3:
            self.enough.set()


@pytest.mark.django_db
def test_events_in_the_background_share_one_loop(
    monkeypatch: pytest.MonkeyPatch, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Fails with async_to_sync, which makes a loop and a thread for each."""
    settings.LATER_INLINE = False
    layer = Layer()
    monkeypatch.setattr(live, "get_channel_layer", lambda: layer)
    with django_capture_on_commit_callbacks(execute=True):
        for order in (1, 2, 3):
            live.live_publish(user_id=7, kind="order", thing_id=order)
    assert layer.enough.wait(5)
    assert len(set(layer.loops)) == 1
