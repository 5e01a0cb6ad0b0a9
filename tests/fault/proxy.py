"""A TCP proxy that breaks connections: cuts, stalls, truncates, slows. It keeps each client's address, so that the
server sees toys from all over 127.0.0.0/8. What breaks, and when, follows from a seed."""

import asyncio
import random
import socket
import struct
import threading

FATES = ("pass", "cut", "stall", "truncate", "slow")


class Proxy:
    def __init__(self, target_port, seed, broken=0.5):
        self.target_port = target_port
        self.random = random.Random(seed)
        self.broken = broken  # share of connections that get a fate
        self.counts = dict.fromkeys(FATES, 0)
        self.pairs = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self.loop.call_soon(started.set)
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread.start()
        started.wait()

    def _run(self):
        self.loop.run_forever()

    def calm(self):
        """From now on connections pass; those with a fate are cut."""
        def now():
            self.broken = 0
            for task in list(self.pairs):
                if task.fate != "pass":
                    task.cancel()
        self.loop.call_soon_threadsafe(now)

    def close(self):
        async def end():
            self.server.close()
            for task in list(self.pairs):
                task.cancel()
            await asyncio.gather(*self.pairs, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        task.fate = self.random.choice(FATES[1:]) if self.random.random() < self.broken else "pass"
        self.counts[task.fate] += 1
        self.pairs.add(task)
        out = None
        try:
            peer = writer.get_extra_info("peername")[0]
            there, out = await asyncio.open_connection("127.0.0.1", self.target_port, local_addr=(peer, 0))
            # Where it strikes: somewhere in the handshake, the claim, the upgrade or the talk.
            budget = Budget(task.fate, self.random.randrange(0, 6000), self.random.uniform(0.2, 2.0))
            await either(self._pump(reader, out, budget), self._pump(there, writer, budget))
            if task.fate == "cut":
                reset(writer)
                reset(out)
        except (OSError, asyncio.CancelledError, Broken):
            if task.fate != "truncate":
                reset(writer)
                if out:
                    reset(out)
        finally:
            writer.close()
            if out:
                out.close()
            self.pairs.discard(task)

    async def _pump(self, reader, writer, budget):
        while True:
            data = await reader.read(16384)
            if not data:
                return
            if budget.fate == "slow":
                for at in range(0, min(len(data), 4000), 40):
                    writer.write(data[at:at + 40])
                    await asyncio.sleep(0.002)
                writer.write(data[4000:])
            elif budget.fate != "pass" and budget.left < len(data):
                writer.write(data[:budget.left])
                await writer.drain()
                if budget.fate == "stall":
                    await asyncio.sleep(budget.stall_s)
                raise Broken
            else:
                writer.write(data)
            budget.left -= len(data)
            await writer.drain()


class Budget:
    def __init__(self, fate, left, stall_s):
        self.fate, self.left, self.stall_s = fate, left, stall_s


class Broken(Exception):
    pass


async def either(*coroutines):
    """Runs both until one ends, then ends the other."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reset(writer):
    """Makes the close a reset: what is on its way is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
