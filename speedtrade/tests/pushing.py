"""An application for test_push.py: sockets that send as much as the server takes.

`/ws/flood/…` sends messages of MESSAGE bytes, numbered, until one is not taken within FULL_AFTER,
or MOST of them. Then `read` waits until that one is taken, and closes when its client says that it
has read all (a server that closes gives a slow one a second to get there); `gone` waits so until
its client is gone; `closed` closes without waiting. `/ws/told` tells how many were taken, and the
end.
"""

import asyncio
from typing import Any

MESSAGE = 64 * 1024
MOST = 2_000  # 125 MB: far more than any kernel keeps of a connection
FULL_AFTER = 0.5

told: dict[str, Any] = {"sent": None, "ended": None}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI."""
    if scope["type"] != "websocket":
        raise ValueError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/ws/told":
        await receive()
        await send({"type": "websocket.send", "text": f"{told['sent']} {told['ended']}"})
        await receive()  # who asked hangs up: a close along with the answer may cost it the answer
        return
    told.update(sent=None, ended=None)
    for number in range(MOST):
        text = f"{number} ".ljust(MESSAGE, ".")
        sending = asyncio.ensure_future(send({"type": "websocket.send", "text": text}))
        _, waits = await asyncio.wait({sending}, timeout=FULL_AFTER)
        if waits:
            told["sent"] = number
            break
    if scope["path"] == "/ws/flood/closed":
        await send({"type": "websocket.close"})
    else:
        await sending
    if scope["path"] == "/ws/flood/read":
        await receive()
        await send({"type": "websocket.close"})
    told["ended"] = (await receive())["type"]
