"""TLS of a client: other sides are checked, and nobody waits for the certificates."""

import asyncio
import ssl

from app.market.tls import client_context


def test_the_other_side_must_prove_who_it_is() -> None:
    context = asyncio.run(client_context())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_certificates_are_read_once_and_off_the_event_loop() -> None:
    async def run() -> tuple[ssl.SSLContext, ssl.SSLContext]:
        reading = asyncio.create_task(client_context())
        await asyncio.sleep(0)
        assert not reading.done(), "the event loop has waited for it"
        return await reading, await client_context()

    first, second = asyncio.run(run())
    assert first is second
