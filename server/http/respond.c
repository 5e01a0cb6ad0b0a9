#include <time.h>

#include "http/internal.h"
#include "ops/metrics.h"
#include "proto/writer.h"

enum { HEAD_CAP = 1536, PROBLEM_CAP = 2048 };
#define ENDLESS SIZE_MAX /* a body's length: until the connection is closed */

const char *status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } all[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].status == status)
            return all[i].phrase;
    return "Unknown";
}

/* No field may end its line or the head early, whoever's text it carries. */
static bool field_safe(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

void request_add_field(struct request *r, const char *name, const char *value, size_t cap)
{
    struct writer w = {r->fields, cap, r->fields_len, false};
    if (!field_safe(name) || !field_safe(value))
        return;
    writer_text(&w, name);
    writer_text(&w, ": ");
    writer_text(&w, value);
    writer_text(&w, "\r\n");
    if (!w.overflow)
        r->fields_len = w.len;
}

void http_set_field(struct http_request *req, const char *name, const char *value)
{
    request_add_field(request_of(req), name, value, FIELDS_PUBLIC);
}

static void date_of(time_t now, char out[40])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 40, "Date: xxx, %d xxx %Y %H:%M:%S GMT\r\n", &tm);
    memcpy(out + 6, days + 3 * tm.tm_wday, 3); /* never the locale's names */
    memcpy(out + 14, months + 3 * tm.tm_mon, 3);
}

/* Made anew once a second. */
static void write_date(struct writer *w)
{
    static _Thread_local time_t at = -1;
    static _Thread_local char text[40];
    time_t now = time(NULL);
    if (now != at)
        date_of(now, text);
    at = now;
    writer_text(w, text);
}

static void write_connection(struct writer *w, const struct request *r, bool close)
{
    if (!close && !r->offer_upgrade)
        return;
    writer_text(w, "Connection: ");
    writer_text(w, !close ? "Upgrade" : r->offer_upgrade ? "close, Upgrade" : "close");
    writer_text(w, "\r\n");
}

static void write_head(struct writer *w, const struct request *r, int status, const char *type,
                       size_t len, bool close)
{
    writer_text(w, "HTTP/1.1 ");
    writer_u64(w, (uint64_t)status);
    writer_text(w, " ");
    writer_text(w, status_phrase(status));
    writer_text(w, "\r\n");
    write_date(w);
    if (status != 204 && status != 304 && len != ENDLESS) {
        writer_text(w, "Content-Length: ");
        writer_u64(w, len);
        writer_text(w, "\r\n");
    }
    if (type) {
        writer_text(w, "Content-Type: ");
        writer_text(w, type);
        writer_text(w, "\r\n");
    }
    writer_text(w, "X-Content-Type-Options: nosniff\r\n");
    if (conn_is_tls(r->serving->conn))
        writer_text(w, "Strict-Transport-Security: max-age=31536000\r\n");
    write_connection(w, r, close);
    writer_bytes(w, r->fields, r->fields_len);
    writer_text(w, "\r\n");
}

static void count(const struct request *r, int status)
{
    enum metric m = status < 400   ? METRIC_HTTP_2XX
                    : status < 500 ? METRIC_HTTP_4XX
                                   : METRIC_HTTP_5XX;
    metric_add(loop_index(r->pub.loop), m, 1);
}

static void send_answer(struct request *r, int status, const char *type, const void *body,
                        size_t len)
{
    char head[HEAD_CAP];
    struct writer w = writer_on(head, sizeof head);
    struct serving *s = r->serving;
    bool close = !r->keep_alive || r->body_left || loop_draining(r->pub.loop);
    write_head(&w, r, status, type, len, close);
    if (w.overflow) { /* cannot be: the parts are bounded */
        conn_abort(s->conn);
        return;
    }
    if (conn_send(s->conn, head, w.len) == TEDDY_OK && len > 0 && status != 204 && status != 304 &&
        !span_is(r->pub.head.method, "HEAD"))
        conn_send(s->conn, body, len);
    serving_answered(s, close);
}

void http_respond(struct http_request *req, int status, const char *type, const void *body,
                  size_t len)
{
    struct request *r = request_of(req);
    if (!type)
        len = 0;
    request_log(r, status);
    count(r, status);
    if (r->serving)
        send_answer(r, status, type, body, len);
    request_free(r);
}

struct conn *http_stream(struct http_request *req, const char *type)
{
    struct request *r = request_of(req);
    char head[HEAD_CAP];
    struct writer w = writer_on(head, sizeof head);
    request_log(r, 200);
    count(r, 200);
    if (r->serving) {
        write_head(&w, r, 200, type, ENDLESS, true);
        conn_send(r->serving->conn, head, w.len);
    }
    if (!span_is(req->head.method, "HEAD"))
        return request_give_away(r);
    if (r->serving)
        serving_answered(r->serving, true);
    request_free(r);
    return NULL;
}

static void write_problem(struct writer *w, const struct http_request *req, int status,
                          const char *code, const char *detail)
{
    writer_text(w, "{\"type\":\"about:blank\",\"title\":");
    writer_json_string(w, span_of(status_phrase(status)));
    writer_text(w, ",\"status\":");
    writer_u64(w, (uint64_t)status);
    if (detail) {
        writer_text(w, ",\"detail\":");
        writer_json_string(w, span_of(detail));
    }
    writer_text(w, ",\"code\":");
    writer_json_string(w, span_of(code));
    writer_text(w, ",\"request_id\":\"");
    writer_text(w, req->request_id);
    writer_text(w, "\"}");
}

void http_problem(struct http_request *req, int status, const char *code, const char *detail)
{
    char body[PROBLEM_CAP];
    struct writer w = writer_on(body, sizeof body);
    if (req->plane->refused)
        req->plane->refused(req, code);
    write_problem(&w, req, status, code, detail);
    if (w.overflow) {
        w = writer_on(body, sizeof body);
        write_problem(&w, req, status, code, NULL);
    }
    http_respond(req, status, "application/problem+json", body, w.len);
}

void http_problem_retry(struct http_request *req, int status, const char *code, const char *detail,
                        uint32_t retry_after_s)
{
    char seconds[12];
    struct writer w = writer_on(seconds, sizeof seconds);
    writer_u64(&w, retry_after_s);
    if (writer_end(&w) == TEDDY_OK)
        request_add_field(request_of(req), "Retry-After", seconds, FIELDS_CAP);
    http_problem(req, status, code, detail);
}
