/* HTTP/1.1 on a connection: reads requests, finds their route, calls its handler, writes the
 * answer. One request at a time per connection; keep-alive and pipelining are served in order.
 *
 * A handler gets a request it owns until it answers with http_respond, http_problem or
 * http_upgrade, exactly once, at once or later (always on request's loop). If the peer leaves
 * meanwhile the request stays valid and its answer goes nowhere. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "http/route.h"
#include "net/conn.h"
#include "proto/http1.h"

#define HTTP_PARAMS_MAX 2

struct http_request {
    struct loop *loop;
    const struct http_plane *plane;
    const struct route *route;
    struct http_head head; /* all spans live as long as the request */
    struct span
        path; /* target without its query, percent-decoding not applied (our paths need none) */
    struct span query;                   /* behind `?`, or empty */
    struct span params[HTTP_PARAMS_MAX]; /* what the pattern's {…} matched, in order */
    struct span body;
    char actor[24];      /* who it comes from, once its handler knows: "uid:0", "token:1a2b3c4d" */
    char request_id[17]; /* 16 hex digits; in the log and in every problem */
    struct sockaddr_storage client; /* the peer, or what a trusted proxy says it is */
    uint64_t start_ms;
    void *internal; /* http's own */
};

/* What a listener serves: its routes, bounds and policies. One per kind of listener, shared
 * read-only, and there as long as its connections, whatever becomes of them. */
struct http_plane {
    const char *name; /* "public", "admin", "metrics" */
    void *context;    /* the composing program's, for its handlers */
    void *admin;      /* the same for those of ROUTE_ADMIN and ROUTE_CONSOLE */
    unsigned offers;  /* route_who bits: the routes of the table that this plane serves */
    const struct route *routes;
    size_t route_count;
    uint32_t
        head_ms; /* a head must be whole within, from its first byte or the connection's start */
    uint32_t body_ms;        /* a body, from its head */
    uint32_t idle_ms;        /* between requests */
    struct conn_limits conn; /* in_max at least LIMIT_HTTP_HEAD: a head that does not fit could not
                                be refused either */
    const struct conn_limits *upgraded; /* of a connection that http_upgrade has given away; NULL:
                                           as before */
    bool own_origin; /* an upgrade that a page of another origin asks for is refused: 403 */
    const struct trusted_proxies *proxies; /* NULL: X-Forwarded-For is never read */
    /* Asked for each request before its body is read and its route is found: false refuses it with
     * 429 and *retry_after_s. NULL: all may. */
    bool (*admit)(const struct http_request *req, uint32_t *retry_after_s);
    /* Asked of a request with a body, once its route is known and before the body is read: false
     * has answered it. NULL: none is asked. */
    bool (*gate)(struct http_request *req);
    /* Told of each problem that is answered by http_problem; code is static text. NULL: nobody is.
     */
    void (*refused)(const struct http_request *req, const char *code);
    /* Asked before a path's 405, 413, 415 or 417: false answers 429 and *retry_after_s instead.
     * NULL: all may. */
    bool (*may_fail)(const struct http_request *req, uint32_t *retry_after_s);
};

/* A target may also be a whole http(s) URL (RFC 9112 section 3.2.2); its authority is not looked
 * at, we serve one host. Starts serving on an accepted descriptor, taken over also on failure. */
void http_serve(struct loop *loop, int fd, struct tls_context *tls,
                const struct sockaddr_storage *peer, const struct http_plane *plane);

/* Adds a field to the answer to come. name and value are copied (together at most 512 bytes over
 * all fields). */
void http_set_field(struct http_request *req, const char *name, const char *value);
/* Answers and releases the request. type NULL: no body. Every answer of 4xx and 5xx to a body not
 * wholly read closes. */
void http_respond(struct http_request *req, int status, const char *type, const void *body,
                  size_t len);
/* Answers with RFC 9457 problem+json: code is the stable machine-readable word, static text, detail
 * an English sentence. */
void http_problem(struct http_request *req, int status, const char *code, const char *detail);
/* The same with Retry-After: seconds. */
void http_problem_retry(struct http_request *req, int status, const char *code, const char *detail,
                        uint32_t retry_after_s);
/* The value of a query parameter, percent-decoded into out; TEDDY_ENOTFOUND, TEDDY_EDUP when given
 * twice, TEDDY_ENOSPC, TEDDY_EPROTO. */
TEDDY_MUST_CHECK int http_query(const struct http_request *req, const char *name, char *out,
                                size_t cap, size_t *len);

/* The value of the cookie of this name, out of the one Cookie field that a request may have (RFC
 * 6265 section 5.4): TEDDY_OK, TEDDY_ENOTFOUND, TEDDY_EDUP when it, or the field, is there twice.
 */
TEDDY_MUST_CHECK int http_cookie(const struct http_head *head, const char *name,
                                 struct span *value);
/* Whether Origin, given once, is the origin of the address that the request was sent to. *there:
 * whether there is one at all. */
bool http_own_origin(const struct http_request *req, bool *there);
/* Whether a page of our own origin sent the request, as its browser says by Sec-Fetch-Site or, when
 * it does not know that, by Origin. What says nothing is no page of ours. */
bool http_same_origin(const struct http_request *req);

/* Sends 101 with the Sec-WebSocket-Accept for the request's key and gives the connection away: the
 * request is released, the connection is returned (paused) with everything behind the head still
 * held. NULL when the peer has left. */
struct conn *http_upgrade(struct http_request *req);
/* Answers 200 with a head of this type and a body that ends when the connection is closed, and
 * gives the connection away as http_upgrade does: whoever takes it sends the body. NULL: the peer
 * has left, or asked for the head only. */
struct conn *http_stream(struct http_request *req, const char *type);
/* Checks an upgrade request (RFC 6455 section 4.2.1) and answers what is wrong (400, 426 +
 * Sec-WebSocket-Version: 13), releasing the request, or returns true. */
bool http_upgrade_ok(struct http_request *req);
/* Moves the request's connection to another loop and calls then(req, arg) there; if the peer left
 * meanwhile, all the same. To the loop where it is: within this call. */
void http_move(struct http_request *req, struct loop *to,
               void (*then)(struct http_request *req, void *arg), void *arg);
/* The connection under a request still unanswered, or NULL when the peer has left. */
struct conn *http_conn(const struct http_request *req);

/* Requests being handled, all loops: a drain waits for zero. Threads: any. */
unsigned http_in_flight(void);
/* From now on every answer closes its connection, and idle ones close at once. Called on each loop.
 */
void http_drain(struct loop *loop);

/* The peers whose X-Forwarded-For is believed: CIDR blocks, comma-separated
 * ("127.0.0.1/32, 10.0.0.0/8, ::1"). "" is none. */
struct trusted_proxies;
TEDDY_MUST_CHECK int trusted_proxies_parse(const char *text, struct trusted_proxies **out,
                                           char *err, size_t cap);
void trusted_proxies_free(struct trusted_proxies *p);
/* The client behind a peer: the peer itself, or, when it is trusted, the rightmost address of
 * X-Forwarded-For that is not. A malformed entry stops the walk at the last address believed. */
void trusted_proxies_client(const struct trusted_proxies *p, const struct sockaddr_storage *peer,
                            const struct http_head *head, struct sockaddr_storage *client);

#endif
