/* What the files of this room know of each other. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/http.h"

enum { FIELDS_PUBLIC = 512, FIELDS_CAP = 768, LINGER_MS = 2000, OUTPUT_AHEAD = 64 * 1024 };

enum phase {
    PHASE_IDLE,     /* nothing of a request yet */
    PHASE_HEAD,     /* a part of a head */
    PHASE_BODY,     /* head judged, body being read */
    PHASE_HANDLING, /* with its handler; the connection is paused */
    PHASE_CLOSING,  /* answered, nothing more is read */
};

/* A connection as long as it speaks HTTP. */
struct serving {
    struct conn *conn;
    const struct http_plane *plane;
    struct request *req; /* PHASE_BODY and PHASE_HANDLING */
    enum phase phase;
    struct sockaddr_storage peer;
};

struct request {
    struct http_request pub; /* first, so that one is the other */
    struct serving *serving; /* NULL: the peer has left */
    struct loop_task task;   /* a move without a connection */
    void (*then)(struct http_request *req, void *arg);
    void *arg;
    char *body; /* body_want bytes and a NUL */
    size_t body_want;
    bool keep_alive;
    bool body_left; /* some of its body was not read: the connection cannot go on */
    bool in_flight; /* a handler has it */
    bool offer_upgrade;
    size_t fields_len;
    char fields[FIELDS_CAP];
    size_t head_len;
    char head[];
};

static inline struct request *request_of(const struct http_request *req)
{
    return req->internal;
}

/* request.c: a request's life. head is copied and its spans rebased; NULL for one that cannot be
 * read. */
struct request *request_new(struct serving *s, const char *bytes, size_t len,
                            const struct http_head *head);
void request_free(struct request *r);
void request_start(struct request *r); /* counts it and calls its handler */
void request_log(const struct request *r, int status);

/* judge.c: true when it is in order and its body may be read; otherwise it is answered and
 * released. */
bool request_judge(struct request *r);

/* serve.c: the request is answered; the connection goes on or ends. r->serving's part only. */
void serving_answered(struct serving *s, bool close);
void serving_free(struct serving *s);

/* upgrade.c: the connection is not http's any more, and nobody's yet; the request is released.
 * NULL: the peer has left. */
struct conn *request_give_away(struct request *r);

/* respond.c */
const char *status_phrase(int status);
void request_add_field(struct request *r, const char *name, const char *value, size_t cap);

#endif
