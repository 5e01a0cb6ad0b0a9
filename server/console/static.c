/* The pages: files that are part of the program. */
#include <stdio.h>
#include <string.h>

#include "admin/gate.h"
#include "console/console.h"
#include "proto/text.h"

void console_fields(struct http_request *req)
{
    http_set_field(req, "Content-Security-Policy",
                   "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                   "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'none'");
    http_set_field(req, "Referrer-Policy", "no-referrer");
    http_set_field(req, "Cross-Origin-Opener-Policy", "same-origin");
    http_set_field(req, "Cross-Origin-Resource-Policy", "same-origin");
}

void console_home(struct http_request *req)
{
    console_fields(req);
    http_set_field(req, "Location", CONSOLE_PATH "/");
    http_respond(req, 308, NULL, NULL, 0);
}

/* The path is compared with the names that there are, and nothing is done with it: whatever is not
 * one of them is not found. */
static const struct console_file *find(const struct http_request *req)
{
    const struct console *c = admin_context_of(req)->console;
    size_t before = strlen(CONSOLE_PATH "/");
    struct span name = {req->path.p + before, req->path.len - before};

    if (name.len == 0)
        name = span_of("index.html");
    for (const struct console_file *f = c->files; f->path != NULL; f++)
        if (span_is(name, f->path))
            return f;
    return NULL;
}

static bool unchanged(const struct http_request *req, const char *etag)
{
    char weak[48];

    (void)snprintf(weak, sizeof weak, "W/%s", etag);
    return http1_field_has(&req->head, "If-None-Match", etag) ||
           http1_field_has(&req->head, "If-None-Match", weak) ||
           http1_field_has(&req->head, "If-None-Match", "*");
}

/* A page is never kept, so that who signs out leaves none behind; the rest is asked for again each
 * time, and answered with 304. */
static void send_file(struct http_request *req, const struct console_file *f)
{
    bool page = strncmp(f->type, "text/html", 9) == 0;
    bool gzip = f->gzip_len > 0 && http1_field_has(&req->head, "Accept-Encoding", "gzip");
    char etag[40];

    (void)snprintf(etag, sizeof etag, "\"%s%s\"", f->etag, gzip ? "-gz" : "");
    http_set_field(req, "Cache-Control", page ? "no-store" : "no-cache");
    http_set_field(req, "ETag", etag);
    if (f->gzip_len > 0)
        http_set_field(req, "Vary", "Accept-Encoding");
    if (unchanged(req, etag)) {
        http_respond(req, 304, NULL, NULL, 0);
        return;
    }
    if (gzip)
        http_set_field(req, "Content-Encoding", "gzip");
    http_respond(req, 200, f->type, gzip ? f->gzip : f->bytes, gzip ? f->gzip_len : f->len);
}

void console_get(struct http_request *req)
{
    const struct console_file *f;

    console_fields(req);
    if (span_is(req->path, CONSOLE_PATH "/session")) {
        console_signed_in(req);
        return;
    }
    f = find(req);
    if (f != NULL)
        send_file(req, f);
    else
        http_problem(req, 404, "not_found", "There is no such page.");
}
