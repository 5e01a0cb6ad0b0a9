/* Every function of teddy/port.h, to be filled in. Each comment says what to do and what must never
 * happen; the header is the contract, and sdk/port/posix a complete port to compare with.
 *
 * For all of them: none may block. What is not ready returns TEDDY_AGAIN and is called again with
 * the same arguments, from a later step. Only the results named in the header may be returned. */
#include "template.h"

/* Do: fill out from the machine's cryptographic generator; on a chip, the hardware one with its
 * entropy source (often the radio) switched on.
 * Never: rand(), the clock or a serial number; fewer bytes than len with TEDDY_OK; the same bytes
 * after each boot. Nonces, masks and TLS keys come from here. */
static int port_random(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    (void)out;
    (void)len;
    return TEDDY_EIO;
}

/* Do: HMAC-SHA256 of msg under the toy's OOB secret, 32 bytes (not its 64 digits), from an eFuse
 * key slot if there is one, or else from a partition of its own. msg stays valid while TEDDY_AGAIN
 * is returned.
 * Never: keep the secret in the firmware's image, which is the same for each toy; log it; hand it
 * out by any other function. */
static int port_hmac_sha256(void *ctx, const uint8_t *msg, size_t len, uint8_t mac[32])
{
    (void)ctx;
    (void)msg;
    (void)len;
    (void)mac;
    return TEDDY_EIO;
}

/* Do: SHA-1 by the TLS library or the hardware. It proves nothing here: RFC 6455 wants it. */
static int port_sha1(void *ctx, const uint8_t *msg, size_t len, uint8_t digest[20])
{
    (void)ctx;
    (void)msg;
    (void)len;
    (void)digest;
    return TEDDY_EIO;
}

/* Do: read the record, check its seal (an AEAD such as AES-GCM, with the record's number
 * authenticated too), write it to buf and its length to *len. TEDDY_ENOTFOUND when there is none,
 * TEDDY_EAUTH when the seal does not fit or it is longer than cap.
 * Never: bytes whose seal was not checked; more than cap bytes; half a record. */
static int port_load(void *ctx, enum teddy_record record, uint8_t *buf, size_t cap, size_t *len)
{
    (void)ctx;
    (void)record;
    (void)buf;
    (void)cap;
    *len = 0;
    return TEDDY_EIO;
}

/* Do: seal data with a fresh nonce and replace the record as a whole: write the new one beside the
 * old, then switch. Return TEDDY_OK when it is on the medium, not before, for the core presents the
 * tokens right after; TEDDY_AGAIN while the flash works, data stays valid.
 * Never: TEDDY_OK for what a power cut can still lose; a moment in which neither the old record nor
 * the new one can be loaded; the other record touched. */
static int port_save(void *ctx, enum teddy_record record, const uint8_t *data, size_t len)
{
    (void)ctx;
    (void)record;
    (void)data;
    (void)len;
    return TEDDY_EIO;
}

/* Do: erase all records, for good. That there are none is TEDDY_OK.
 * Never: the OOB secret, which the toy cannot get again. */
static int port_erase(void *ctx)
{
    (void)ctx;
    return TEDDY_EIO;
}

/* Do: look the host up; a numeric address needs no lookup. Keep the addresses for connect.
 * TEDDY_AGAIN until the answer is there, TEDDY_EDNS when there is no such name or no answer.
 * Never: getaddrinfo or gethostbyname in the caller's thread, which block for seconds; an answer
 * kept for ever, for servers move. */
static int port_resolve(void *ctx, const char *host)
{
    (void)ctx;
    (void)host;
    return TEDDY_EDNS;
}

/* Do: on the first call open a non-blocking socket to what resolve found; then, with tls, go
 * through the handshake, a step per call. Give the host name to the TLS library for SNI and for
 * comparison; require the chain to end at an authority of yours; judge dates by wall_time.
 * TEDDY_ECERT: the certificate was refused; TEDDY_ECLOCK: for its dates alone; TEDDY_ETLS: another
 * failure of TLS; TEDDY_EIO: no connection, or it broke.
 * Never: TEDDY_OK without a verified certificate, not even "for now", and not for a resumed session
 * whose first handshake was not verified; a byte of the application before TEDDY_OK. */
static int port_connect(void *ctx, const char *host, uint16_t port, bool tls)
{
    (void)ctx;
    (void)host;
    (void)port;
    (void)tls;
    return TEDDY_EIO;
}

/* Do: hand over what fits and say how much in *sent. A TLS library that wants to write sends the
 * same bytes again at the next call: see "pending" in sdk/port/posix/tls.c.
 * Never: TEDDY_OK with *sent of 0; bytes taken that are not reported, or reported and not taken. */
static int port_send(void *ctx, const uint8_t *data, size_t len, size_t *sent)
{
    (void)ctx;
    (void)data;
    (void)len;
    *sent = 0;
    return TEDDY_ECLOSED;
}

/* Do: hand over what is there, at most cap bytes; TEDDY_AGAIN when nothing is; TEDDY_ECLOSED at an
 * orderly end, once all before it was handed over. What waits in the TLS library counts as there,
 * though the socket is quiet: let your waiting know.
 * Never: TEDDY_OK with *got of 0, TEDDY_AGAIN for a connection that has ended. */
static int port_recv(void *ctx, uint8_t *buf, size_t cap, size_t *got)
{
    (void)ctx;
    (void)buf;
    (void)cap;
    *got = 0;
    return TEDDY_ECLOSED;
}

/* Do: close what is open or being opened, a lookup included, and be ready for the next resolve.
 * Safe at any moment, also twice. A close_notify that cannot be sent at once is not sent.
 * Never: a wait for the other end; the kept TLS session thrown away, which the next handshake
 * resumes. */
static void port_disconnect(void *ctx)
{
    (void)ctx;
}

/* Do: the latest of the firmware's build time, the stored time and SNTP.
 * Never: 1970. A clock of the past finds each certificate not valid yet. */
static uint64_t port_wall_time(void *ctx)
{
    (void)ctx;
    return 0;
}

/* Do: keep unix_s as the stored time; write it when it has moved by an hour or more, to spare the
 * flash. It comes from a verified connection alone.
 * Never: block on the flash; believe a time before the build's. */
static void port_server_time(void *ctx, uint64_t unix_s)
{
    struct port_template *p = ctx;

    p->time_told_s = unix_s;
}

/* Do: one line to the console. It holds no secrets, tokens or utterances; keep it so.
 * Never: block on a console that nobody reads. The table may have NULL instead. */
static void port_log(void *ctx, enum teddy_log_level level, const char *line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

const struct teddy_port port_template = {
    .random = port_random,
    .hmac_sha256 = port_hmac_sha256,
    .sha1 = port_sha1,
    .load = port_load,
    .save = port_save,
    .erase = port_erase,
    .resolve = port_resolve,
    .connect = port_connect,
    .send = port_send,
    .recv = port_recv,
    .disconnect = port_disconnect,
    .wall_time = port_wall_time,
    .server_time = port_server_time,
    .log = port_log,
};
