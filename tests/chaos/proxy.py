"""A TCP proxy that can swallow everything: the far end neither answers nor hangs up."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Proxy:
    """Listens on `port` and carries bytes to `target`, unless `swallowing`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.swallowing = False
        self.port = 0

    async def serve(self, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        async with server:
            await server.serve_forever()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.swallowing:  # what was swallowed once is gone, as on a cut line
                    writer.write(data)
                    await writer.drain()
        writer.close()


@contextlib.contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy before the server on this port of this machine, until the end of the block."""
    proxy, loop, listening = Proxy(target), asyncio.new_event_loop(), threading.Event()
    serving = loop.create_task(proxy.serve(listening))
    thread = threading.Thread(target=lambda: loop.run_until_complete(_ended(serving)), daemon=True)
    thread.start()
    assert listening.wait(5)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(5)


async def _ended(serving: "asyncio.Task[None]") -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    carrying = asyncio.all_tasks() - {asyncio.current_task()}
    for task in carrying:
        task.cancel()
    await asyncio.gather(*carrying, return_exceptions=True)
