/* Every compile-time bound of the SDK, with its default. Define one before this header, or with -D,
 * to change it. */
#ifndef TEDDY_CONFIG_H
#define TEDDY_CONFIG_H

/* Bytes of SERVER_URL's host, and of each endpoint's path; some 370 together at most, which is
 * checked when the SDK is compiled. */
#ifndef TEDDY_HOST_MAX
#define TEDDY_HOST_MAX 128
#endif
#ifndef TEDDY_PATH_MAX
#define TEDDY_PATH_MAX 96
#endif

/* Backoff after failures, full jitter: the n-th wait is random in 0..min(cap, base * 2^n), never
 * under floor, nor over cap. Milliseconds, and, as those below, defaults of struct teddy_times's
 * members of the same name. */
#ifndef TEDDY_BACKOFF_FLOOR_MS
#define TEDDY_BACKOFF_FLOOR_MS 250
#endif
#ifndef TEDDY_BACKOFF_BASE_MS
#define TEDDY_BACKOFF_BASE_MS 1000
#endif
#ifndef TEDDY_BACKOFF_CAP_MS
#define TEDDY_BACKOFF_CAP_MS 60000
#endif
/* The first wait after an answer that only people can change (404, 403, 4001 …), doubling up to 16
 * times it. */
#ifndef TEDDY_BACKOFF_REFUSED_MS
#define TEDDY_BACKOFF_REFUSED_MS 60000
#endif

/* How long one step of the way may take: resolving, connecting with TLS, an HTTP answer, an
 * upgrade. */
#ifndef TEDDY_STEP_TIMEOUT_MS
#define TEDDY_STEP_TIMEOUT_MS 15000
#endif
/* A session silent for longer than the server's heartbeat times 2.5 is given up; this before
 * welcome tells it. */
#ifndef TEDDY_SILENCE_MS
#define TEDDY_SILENCE_MS 75000
#endif
/* An utterance that is not echoed within this is said again (same id). */
#ifndef TEDDY_ECHO_TIMEOUT_MS
#define TEDDY_ECHO_TIMEOUT_MS 10000
#endif

/* The longest wait a server's Retry-After or retry_ms can impose, and the longest of struct
 * teddy_times; a day and a half at most. */
#ifndef TEDDY_RETRY_MAX_MS
#define TEDDY_RETRY_MAX_MS 86400000
#endif

/* Between two offers of a message that the application did not take. */
#ifndef TEDDY_OFFER_MS
#define TEDDY_OFFER_MS 200
#endif

/* Bytes of the outbox that an utterance takes besides its text, and the longest report. */
#define TEDDY_OUTBOX_ENTRY 24
#define TEDDY_REPORT_MAX   512

/* The smallest message buffer teddy_client_init takes: an HTTP answer with two tokens must fit. */
#define TEDDY_BUFFER_MIN 2048

#endif
