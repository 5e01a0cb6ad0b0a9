/* The web console: its pages, embedded in the program, signing in to it, and what it is told live.
 * It stands on the administration's API and does nothing that an admin token could not: a cookie
 * stands for the token that somebody signed in with.
 *
 * Handlers run on the loop that serves the administration over HTTPS, and so does all else here. */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include "admin/admin.h"
#include "console/sessions.h"
#include "http/http.h"

#define CONSOLE_COOKIE   "__Host-teddy_console"
#define CONSOLE_SIGN_IN  512u /* bytes of the body that signs in */
#define CONSOLE_PATH     "/console"
#define CONSOLE_URL_LEN  300
#define CONSOLE_LINK_TTL 43200u /* seconds that the token behind a one-time link lives */

/* A file of the pages. */
struct console_file {
    const char *path; /* behind "/console/"; NULL: behind the last */
    const char *type;
    const char *etag; /* without its quotes */
    const unsigned char *bytes, *gzip;
    size_t len, gzip_len; /* gzip_len 0: it is no shorter */
};
extern const struct console_file console_files[]; /* generated: cmake/embed_console.py */

struct console_events;

struct console {
    const struct console_file *files; /* NULL: the console is not served */
    struct console_sessions *sessions;
    struct console_events *events;
    char origin[CONSOLE_URL_LEN]; /* "https://127.0.0.1:9443", as it is shown; "": nowhere */
};

/* struct admin_context's: judges the console's cookie. */
bool console_cookie(const struct http_request *req, struct admin_cookie *out);

/* The fields that every answer under /console/ has. */
void console_fields(struct http_request *req);

void console_home(struct http_request *req);
void console_get(struct http_request *req);
void console_sign_in(struct http_request *req);
void console_sign_out(struct http_request *req);
void console_signed_in(struct http_request *req); /* GET of the same: who has */
void console_link(struct http_request *req);
void console_listen(struct http_request *req);

/* Who listens to what happens (docs/operations.md, "The web console"). Made before the first
 * request. context is looked at later; loop is the one that serves the administration. NULL: out of
 * memory. */
struct console_events *console_events_new(const struct admin_context *context, struct loop *loop);
/* Ends all streams, and begins no more. That loop's thread. */
void console_events_end(struct console_events *e);
/* The loops stand still: what is still to come of the store is dropped. */
void console_events_stop(struct console_events *e);
void console_events_free(struct console_events *e); /* behind the loops; NULL is fine */

/* clang-format off */
#define CONSOLE_ROW(method, pattern, handler, body_max, media) {method, pattern, ROUTE_CONSOLE, #handler, handler, body_max, media, ROLE_NONE}
#define CONSOLE_ROUTES \
    CONSOLE_ROW("GET", CONSOLE_PATH, console_home, 0, NULL), \
    CONSOLE_ROW("GET", CONSOLE_PATH "/", console_get, 0, NULL), \
    CONSOLE_ROW("GET", CONSOLE_PATH "/{file}", console_get, 0, NULL), \
    CONSOLE_ROW("GET", CONSOLE_PATH "/{directory}/{file}", console_get, 0, NULL), \
    CONSOLE_ROW("POST", CONSOLE_PATH "/session", console_sign_in, CONSOLE_SIGN_IN, "application/json"), \
    CONSOLE_ROW("DELETE", CONSOLE_PATH "/session", console_sign_out, 0, NULL), \
    ADMIN_ROW(ROLE_VIEWER, "GET", ENDPOINT_ADMIN "/events", console_listen, 0, NULL), \
    ADMIN_ROW(ROLE_OWNER, "POST", ENDPOINT_ADMIN "/console/links", console_link, ADMIN_JSON_MAX, "application/json")
/* clang-format on */

#endif
