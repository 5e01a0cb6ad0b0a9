/* A small server with a route of each kind, for the tests of this room. */
#ifndef HTTP_TESTING_H
#define HTTP_TESTING_H

#include "http/http.h"
#include "net/testing.h"

struct http_testing {
    struct testing_server server;
    struct http_plane plane; /* to be changed before the first connection */
    bool tls;
    unsigned handled;             /* calls of /later and /forget */
    struct http_request *pending; /* of /forget: answered by the test */
};
extern struct http_testing testing;

void http_testing_start(bool tls);
void http_testing_stop(void);

struct answer {
    int status;
    char head[2048]; /* NUL-terminated, field lines with CRLF */
    char body[4096]; /* its first bytes, NUL-terminated */
    size_t body_len; /* as read */
};

struct testing_client http_testing_connect(void);
/* Reads one answer; fails the test when it is malformed. without_body: to a HEAD, or 101. */
void http_testing_read(struct testing_client *c, struct answer *a, bool without_body);
/* A connection of its own: sends text, reads one answer. */
void http_testing_ask(const char *text, struct answer *a);
/* The value of a field of the answer, or NULL. */
const char *http_testing_field(const struct answer *a, const char *name);
/* True when the server has closed, gracefully. */
bool http_testing_closed(struct testing_client *c);

#endif
