"""TLS of a client, with the system's certificates, loaded once and off the event loop."""

import asyncio
import functools
import ssl


async def client_context() -> ssl.SSLContext:
    """In a thread, because loading the certificates takes 20 ms, and orders wait for the event loop."""
    return await asyncio.to_thread(_context)


@functools.cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
