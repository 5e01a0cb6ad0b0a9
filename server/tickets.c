/* The keys of TLS session tickets: opened with the data directory, looked after by loop 0. */
#include <stdio.h>

#include "ops/log.h"
#include "teddyd.h"

#define TEND_MS   60000
#define FILE_NAME "ticket-keys"

static void log_note(const char *note)
{
    if (note[0])
        LOG(LOG_WARN, "ticket_keys", LOG_S("file", FILE_NAME), LOG_S("warning", note));
}

static void plan(struct server *s)
{
    uint32_t turn_s = s->app.config.tls_ticket_s / 2;
    uint32_t after_ms = turn_s < TEND_MS / 1000 ? turn_s * 1000 + 500 : TEND_MS;
    loop_timer_set(s->app.loops[0], &s->tickets_timer, loop_now_ms(s->app.loops[0]) + after_ms);
}

static void due(struct loop *loop, struct loop_timer *timer)
{
    struct server *s =
        (struct server *)(void *)((char *)timer - offsetof(struct server, tickets_timer));
    char note[TLS_TICKETS_NOTE];
    (void)loop;
    if (tls_tickets_tend(s->tickets, app_now_s(), note))
        LOG(LOG_INFO, "ticket_keys_rotated", LOG_N("lifetime_s", s->app.config.tls_ticket_s));
    log_note(note);
    plan(s);
}

int tickets_open(struct server *s)
{
    char path[PATH_MAX], note[TLS_TICKETS_NOTE];
    if (s->app.config.tls_ticket_s == 0)
        return TEDDY_OK;
    snprintf(path, sizeof path, "%s/" FILE_NAME, s->data);
    int rc = tls_tickets_open(path, s->app.config.tls_ticket_s, app_now_s(), &s->tickets, note);
    log_note(note);
    if (rc != TEDDY_OK)
        snprintf(s->error, sizeof s->error, "ticket keys cannot be made: %s", teddy_err_text(rc));
    return rc;
}

void tickets_start(struct server *s)
{
    s->tickets_timer.fire = due;
    if (s->tickets)
        plan(s);
}

void tickets_stop(struct server *s)
{
    if (s->tickets_timer.fire && s->tickets)
        loop_timer_unset(s->app.loops[0], &s->tickets_timer);
}
