/* The running server: everything main.c opens, in the order it opens it. */
#ifndef TEDDYD_H
#define TEDDYD_H

#include <limits.h>
#include <pthread.h>

#include "admin/admin.h"
#include "admin/trail.h"
#include "api/app.h"
#include "console/console.h"
#include "identity/audit_verify.h"
#include "identity/keyring.h"
#include "identity/master_key.h"
#include "net/listener.h"
#include "net/tls.h"
#include "net/tls_tickets.h"
#include "ops/refusals.h"
#include "store/retention.h"

#define ERROR_MAX 512

/* upkeep.c: what is too old leaves the store. Loop 0's. */
struct upkeep {
    struct store_job job; /* first: it is what the store hands back */
    struct loop_task task;
    struct loop_timer timer;
    const struct server *server;
    struct store *store;
    struct loop *loop;
    struct retention_bounds bounds;
    struct retention_place at, next; /* before and behind the present piece */
    bool due; /* the present piece has something to do, and is the writer's */
    uint64_t pruned[RETENTION_KINDS]; /* by it */
    uint64_t walk[RETENTION_KINDS];   /* since the walk began */
};

/* jwt_keys.c: the keys that sign and verify tokens. Loop 0's, but for what runs on the store. */
struct jwt_keys {
    struct store_job job;
    struct loop_task task;
    struct loop_timer timer;
    struct keyring_policy policy;
    struct admin_key_list before, after; /* of the change at hand */
    bool tended;                         /* it is made */
    char path[PATH_MAX];
};

/* trail.c: the audit trail's upkeep. Loop 0's. */
struct trail {
    struct store_job job; /* first: it is what the store hands back */
    struct loop_task task;
    struct loop_timer timer;
    struct store *store;
    struct loop *loop;
    const struct config *config;
    struct audit_key *key;
    struct refusals refused; /* not written yet */
    const char *event;       /* to be written as well; NULL: none */
    bool busy;               /* the store has the job */
    bool more;               /* there is more to remove */
    uint64_t pruned;         /* events that the job removed */
};

/* watchdog.c: what the service manager is told. Loop 0's, but for what runs on the store. */
enum { WATCHDOG_WRITER, WATCHDOG_READER, WATCHDOG_LOOPS };

struct watchdog_step { /* one of a round: of the store, or on a loop */
    struct store_job job;
    struct loop_task there, back;
    struct watchdog *of;
    bool under_way;
};

struct watchdog {
    struct watchdog_step steps[WATCHDOG_LOOPS + METRIC_LOOPS_MAX];
    struct loop_timer timer;
    struct app *app; /* NULL: nobody wants to be told */
    uint64_t period_ms;
    unsigned under_way; /* steps */
    unsigned late;      /* rounds */
    bool failed;        /* a step of this round */
    bool stopped;       /* the loops stand still */
};

struct server {
    struct app app;
    struct admin_context admin;
    struct console console;
    char data[PATH_MAX - 64];
    char cert[PATH_MAX], key[PATH_MAX]; /* the TLS files in use */
    char error[ERROR_MAX];              /* why a step of the start failed */

    struct master_key master; /* forgotten once the store is open; its names stay */
    int lock_fd;
    struct processes processes;
    struct safety *safety;
    struct alerts *alerts; /* NULL: nobody is told */
    struct minds *minds;
    struct tls_context *tls;     /* NULL with tls off */
    struct tls_tickets *tickets; /* NULL: none */
    struct loop_timer tickets_timer;
    struct trusted_proxies *proxies;

    struct route *routes; /* the table without what the configuration turns off */
    size_t route_count;
    struct http_plane public_plane, admin_plane, admin_https_plane, metrics_plane;
    int public_fd, admin_fd, admin_https_fd, metrics_fd; /* -1: not listening */
    char listen_host[256];
    uint16_t listen_port;
    struct listener *public_listeners[METRIC_LOOPS_MAX];
    struct listener *admin_listener, *admin_https_listener, *metrics_listener; /* on loop 0 */

    pthread_t threads[METRIC_LOOPS_MAX]; /* loop 0 runs on the main thread */
    unsigned threads_started;

    struct loop_io signals;
    struct upkeep upkeep;
    struct jwt_keys jwt_keys;
    struct trail trail;
    struct watchdog watchdog;
    struct loop_timer drain_timer;
    struct loop_task drain_request; /* `teddyctl drain` */
    uint64_t drain_deadline_ms, quiet_since_ms;
    bool draining; /* sessions are being told */
    bool leaving;  /* nothing is accepted any more */
};

/* timed.c: how long the loops' rounds and handshakes and the store's commits take. */
extern const struct loop_watch timed_loop;
void timed_commit(uint64_t us);

/* serve.c: listening sockets and what is served on them. */
TEDDY_MUST_CHECK int serve_open(struct server *s);
TEDDY_MUST_CHECK int
serve_start(struct server *s); /* on each loop's behalf, before the loops run */
void serve_stop_on(struct server *s, struct loop *loop); /* that loop's listeners; its own thread */
void serve_close(struct server *s);
void serve_unlink_admin(const struct server *s);

/* signals.c: SIGTERM and SIGINT drain, SIGHUP reloads the certificate. */
TEDDY_MUST_CHECK int signals_open(struct server *s);
void signals_close(struct server *s);

/* upgrade.c: the database as an older release left it is kept, as a backup in the data directory,
 * before it is brought to this one's schema. TEDDY_ESTORE with s->error: it cannot be; the database
 * is as it was. */
TEDDY_MUST_CHECK int upgrade_keep(struct server *s, const char *database);
/* Removes those backups that are older than the configuration keeps them. Threads: any. Blocks: on
 * the disk. */
void upgrade_tidy(const struct server *s);

/* tickets.c: the keys of TLS session tickets, kept in the data directory. */
TEDDY_MUST_CHECK int tickets_open(struct server *s);
void tickets_start(struct server *s); /* before the loops run */
void tickets_stop(struct server *s);

/* jwt_keys.c: fills app.policy and app.keys. */
TEDDY_MUST_CHECK int jwt_keys_open(struct server *s);
void jwt_keys_start(struct server *s); /* before the loops run */
void jwt_keys_stop(struct server *s);  /* once the store is closed */
void jwt_keys_close(struct server *s); /* once the loops are gone */
/* keyring_run, and the new set takes the place of the old; sessions under a key that was thrown
 * away are closed. The store's writer thread. */
TEDDY_MUST_CHECK int jwt_keys_change(void *server, struct keyring_op *op, char *err, size_t cap);

/* upkeep.c */
void upkeep_start(struct server *s); /* before the loops run */
void upkeep_stop(struct server *s);  /* once the store is closed */

/* watchdog.c */
void watchdog_start(struct server *s); /* before the loops run */
void watchdog_stop(struct server *s);  /* once they stand still; the store is still open */

/* trail.c. Open: as soon as the store is there; stop: once the loops stand still, and before the
 * store is closed. */
TEDDY_MUST_CHECK int trail_open(struct server *s);
void trail_start(struct server *s); /* before the loops run */
void trail_stop(struct server *s);  /* the last events are written */
void trail_close(struct server *s); /* behind the store */

/* drain.c: ends all sessions and requests, then stops the loops. Loop 0's thread; signals_block
 * before any thread starts. */
void signals_block(void);
void drain_start(struct server *s, uint16_t code, const char *word);
void drain_request(void *server); /* any thread: `teddyctl drain` */

/* The TLS files in use. */
struct tls_files server_tls_files(const struct server *s);

#endif
