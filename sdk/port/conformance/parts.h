/* What the files of the conformance program share. run.c goes through the checks, tap.c stands
 * between the core and the port under test, drive.c moves both, check_*.c hold the checks. */
#ifndef CONFORMANCE_PARTS_H
#define CONFORMANCE_PARTS_H

#include "port/conformance/conformance.h"

struct conformance;

struct check {
    const char *section, *title;
    void (*run)(struct conformance *c);
};

/* Each ends with an entry whose run is NULL, in the order of their running. */
extern const struct check checks_machine[], checks_records[], checks_link[], checks_steps[];

/* A server of the desk that misbehaves, and what must come of it: check_faults.c. */
struct fault {
    const char *name;  /* as desk.py prints it */
    const char *title; /* of its check */
    /* Where the walk must end: online, or waiting for one of these reasons. */
    bool online;
    int errs[4];          /* teddy_err, one of which is right; unused: 0 */
    uint16_t close;       /* 0: none is expected */
    const char *code;     /* NULL: any */
    uint32_t at_least_ms; /* the wait that must follow */
    const char *look;     /* where to look when it is not so */
};
extern const struct fault faults[]; /* ends with an entry without name */
void fault_run(struct conformance *c, const struct fault *f);

/* ---- tap.c: every call of the port is timed, and its result held against teddy/port.h ---- */

enum tap_call {
    TAP_RANDOM,
    TAP_HMAC,
    TAP_SHA1,
    TAP_LOAD,
    TAP_SAVE,
    TAP_ERASE,
    TAP_RESOLVE,
    TAP_CONNECT,
    TAP_SEND,
    TAP_RECV,
    TAP_DISCONNECT,
    TAP_WALL_TIME,
    TAP_SERVER_TIME,
    TAP_CALLS,
};

struct tap {
    const struct conformance_config *config;
    void *ctx; /* the instance under test */
    uint64_t longest_ms[TAP_CALLS];
    uint64_t ever_ms[TAP_CALLS]; /* the same over the whole run */
    char broken[200];            /* the first breach of the contract since tap_reset */
    char log[200];               /* the port's or core's last line of at least WARN */
    uint64_t told_s;             /* server_time's last */
    /* The order of things, counted in calls. */
    uint64_t clock, saved_tokens_at, saved_last_at, sent_at, connected_at, disconnected_at;
};

extern const struct teddy_port tap_port; /* its ctx is a struct tap */
const char *tap_name(enum tap_call call);
void tap_reset(struct tap *t);

/* ---- the run ---- */

struct seen {
    unsigned count[TEDDY_EVENT_ROOM + 1];
    unsigned online, claiming, refreshing, waiting;
    unsigned connected_claim, connected_session;
    uint64_t session_at;    /* the tap's clock when a session's connection was last up */
    int err, status, close; /* of the last WAITING */
    uint32_t wait_ms;
    char code[33], purpose[12], echo_id[24], message[64];
    int kept_err;        /* of the last CLAIMED or REFRESHED */
    uint32_t expires_in; /* of it */
    int64_t skew_s;
};

enum verdict { VERDICT_NONE, VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP };

struct conformance {
    struct conformance_config config; /* with its defaults filled in */
    struct tap tap;
    bool open;
    enum verdict verdict; /* of the check that runs */
    char why[400];
    unsigned passed, failed, skipped;

    char desk_host[TEDDY_HOST_MAX + 1];
    char url[TEDDY_HOST_MAX + 24];
    struct teddy_client client;
    bool started;        /* client is in use */
    bool leave_messages; /* the check does not take the operator's messages */
    struct seen seen;
    uint8_t rx[4096], outbox[2048];
    uint8_t a[TEDDY_RECORD_MAX + 64], b[TEDDY_RECORD_MAX + 64]; /* the checks' own */
};

/* The verdict of the running check, with what was seen. The first FAIL of a check stays; a check
 * without any verdict passes. */
__attribute__((format(printf, 2, 3))) void check_pass(struct conformance *c, const char *format,
                                                      ...);
/* Returns false, so that a check can leave with it. */
__attribute__((format(printf, 2, 3))) bool check_fail(struct conformance *c, const char *format,
                                                      ...);
__attribute__((format(printf, 2, 3))) void check_skip(struct conformance *c, const char *format,
                                                      ...);

/* ---- drive.c ---- */

uint64_t board_now(const struct conformance *c);
void board_rest(struct conformance *c, uint32_t ms, unsigned wants);
/* The name of a teddy_err as the header spells it, "TEDDY_ECERT". */
const char *err_name(int err);
/* A fresh boot of the port: records stay. False: the check failed for it. */
bool board_reboot(struct conformance *c);

/* Port calls, called again while they say AGAIN: TEDDY_ETIMEOUT after within_ms. */
int until_erased(struct conformance *c);
int until_saved(struct conformance *c, enum teddy_record r, const uint8_t *data, size_t len);
int until_loaded(struct conformance *c, enum teddy_record r, uint8_t *buf, size_t cap, size_t *len);
int until_resolved(struct conformance *c, const char *host, uint32_t within_ms);
/* resolve and connect with TLS. */
int until_connected(struct conformance *c, const char *host, uint16_t port);
int until_received(struct conformance *c, uint8_t *buf, size_t cap, size_t *got);
/* Sends all of it. */
int until_sent(struct conformance *c, const uint8_t *data, size_t len);
void hang_up(struct conformance *c);

/* The value of a line of the desk's; false: there is no such line. */
bool desk_line(const struct conformance *c, const char *name, char *value, size_t cap);
/* The port of a fault of the desk, or 0 with the check skipped. */
uint16_t desk_port(struct conformance *c, const char *fault);
/* https://DESK:PORT, valid until the next call. */
const char *desk_url(struct conformance *c, uint16_t port);

/* A toy at the given server (NULL: the good one), with what the port has kept. False: failed. */
bool toy_start(struct conformance *c, const char *url);
void toy_stop(struct conformance *c);
/* Steps it until done(c), for within_ms at most; true when done. */
bool toy_until(struct conformance *c, bool (*done)(const struct conformance *c),
               uint32_t within_ms);
bool toy_online(const struct conformance *c);
bool toy_waiting(const struct conformance *c);
/* What the toy came to, in words: "waiting: TEDDY_EIO …". */
const char *toy_story(struct conformance *c);
/* Brings a toy online at the good server, waiting out what it asks for; fails the check if not. */
bool toy_home(struct conformance *c);

#endif
