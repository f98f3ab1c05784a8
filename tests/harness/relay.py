"""A slow or dead line between two hosts."""

import asyncio
import socket
import threading


class Relay:
    """A TCP relay on a host that holds back what comes from behind it: a slow line, or one that swallows everything."""

    def __init__(self, host, port, target_port):
        self.target = (host.wan, target_port)
        self.host = host
        self.delay = 0
        self.swallows = False
        self.listener = host.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host.wan, port))
        self.listener.listen(16)
        self.listener.setblocking(False)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        self.loop.create_task(self._accept())
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _accept(self):
        while True:
            inside, _ = await self.loop.sock_accept(self.listener)
            inside.setblocking(False)
            self.loop.create_task(self._serve(inside))

    async def _serve(self, inside):
        with inside, self.host.socket() as outside:
            outside.setblocking(False)
            try:
                await self.loop.sock_connect(outside, self.target)
            except OSError:
                return
            copies = [self.loop.create_task(self._copy(inside, outside, False)),
                      self.loop.create_task(self._copy(outside, inside, True))]
            # Nobody may wait on a socket that is closed: its number is the next connection's.
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)

    async def _copy(self, source, sink, is_held_back):
        """Until the end of `source`, which is passed on as late as everything else."""
        queue = asyncio.Queue()

        async def read():
            data = b"begin"
            while data:
                try:
                    data = await self.loop.sock_recv(source, 65536)
                except OSError:
                    data = b""
                queue.put_nowait((self.loop.time() + (self.delay if is_held_back else 0), data))

        reader = self.loop.create_task(read())
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0, due - self.loop.time()))
                while self.swallows:
                    await asyncio.sleep(0.05)
                if not data:
                    return
                await self.loop.sock_sendall(sink, data)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.listener.close()
