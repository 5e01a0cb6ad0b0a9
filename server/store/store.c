/* The store as its users see it: opening, queueing, closing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/internal.h"

#define READERS_DEFAULT 1
#define QUEUE_DEFAULT   4096
#define GROUP_DEFAULT   512
#define READ_BATCH      16

/* All jobs of a batch were queued before its snapshot begins, so each sees whatever was committed
 * before it was queued. They are handed back together: the loop that waits for them wakes once. */
static void read_batch(struct store_tx *tx, struct store_job *batch)
{
    bool begun = tx_exec(tx, STMT_BEGIN, "BEGIN") == TEDDY_OK;
    for (struct store_job *job = batch; job != NULL; job = job->next) {
        tx->broken = false;
        job->result = begun ? job->run(tx, job) : TEDDY_ESTORE;
        if (tx->broken && job->result >= 0)
            job->result = TEDDY_ESTORE;
    }
    if (!sqlite3_get_autocommit(tx->db) && tx_exec(tx, STMT_COMMIT, "COMMIT") != TEDDY_OK)
        (void)tx_exec(tx, STMT_ROLLBACK, "ROLLBACK");
    for (struct store_job *next; batch != NULL; batch = next) {
        next = batch->next; /* done may free the job */
        batch->done(batch);
    }
    tx_report(tx);
}

void *reader_main(void *arg)
{
    struct reader *r = arg;
    struct store_job *batch;
    while ((batch = queue_take(&r->store->reads, READ_BATCH)) != NULL)
        read_batch(&r->tx, batch);
    return NULL;
}

static int start_reader(struct store *s, const struct store_options *o, char *err, size_t cap)
{
    struct reader *r = &s->reader[s->readers];
    r->store = s;
    int e = tx_open(&r->tx, o, o->vfs, false, err, cap);
    if (e == TEDDY_OK && pthread_create(&r->thread, NULL, reader_main, r) != 0) {
        snprintf(err, cap, "store %s: cannot start a thread", o->path);
        e = TEDDY_ESTORE;
    }
    if (e != TEDDY_OK) {
        tx_close(&r->tx);
        return e;
    }
    s->readers++;
    return TEDDY_OK;
}

static void stop_readers(struct store *s)
{
    queue_close(&s->reads);
    for (unsigned i = 0; i < s->readers; i++) {
        pthread_join(s->reader[i].thread, NULL);
        tx_close(&s->reader[i].tx);
    }
}

static void release(struct store *s)
{
    queue_fini(&s->reads);
    queue_fini(&s->writes);
    free(s->reader);
    free(s);
}

static int start(struct store *s, const struct store_options *o, unsigned readers, char *err,
                 size_t cap)
{
    /* Without syncs what is committed must be in the file at once for readers to see it. */
    bool gather = !o->unsafe_no_sync && log_vfs_add(&s->log, o->vfs) == TEDDY_OK;
    int e = tx_open(&s->writer, o, gather ? s->log.name : o->vfs, true, err, cap);
    if (e != TEDDY_OK)
        goto unopened;
    e = erasures_start(&s->writer, err, cap);
    writer_watch_wal(s);
    while (e == TEDDY_OK && s->readers < readers)
        e = start_reader(s, o, err, cap);
    if (e != TEDDY_OK)
        goto readers;
    if (pthread_create(&s->writer_thread, NULL, writer_main, s) == 0)
        return TEDDY_OK;
    snprintf(err, cap, "store %s: cannot start a thread", o->path);
    e = TEDDY_ESTORE;
readers:
    stop_readers(s);
unopened:
    tx_close(&s->writer);
    log_vfs_remove(&s->log);
    return e;
}

int store_open(const struct store_options *o, struct store **out, char *err, size_t cap)
{
    sqlite_set_up();
    unsigned readers = o->readers != 0 ? o->readers : READERS_DEFAULT;
    unsigned queue_max = o->queue_max != 0 ? o->queue_max : QUEUE_DEFAULT;
    *out = NULL;
    struct store *s = calloc(1, sizeof *s);
    struct reader *reader = calloc(readers, sizeof *reader);
    if (s == NULL || reader == NULL) {
        free(s);
        free(reader);
        snprintf(err, cap, "store %s: out of memory", o->path);
        return TEDDY_ESTORE;
    }
    s->reader = reader;
    s->committed = o->committed;
    s->group_max = o->group_max != 0 ? o->group_max : GROUP_DEFAULT;
    queue_init(&s->reads, queue_max);
    queue_init(&s->writes, queue_max);

    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = start(s, o, readers, err, cap);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e != TEDDY_OK) {
        release(s);
        return e;
    }
    *out = s;
    return TEDDY_OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    stop_readers(s); /* first: what a read found out may still ask for a write */
    queue_close(&s->writes);
    pthread_join(s->writer_thread, NULL);
    (void)sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    tx_close(&s->writer);
    log_vfs_remove(&s->log);
    release(s);
}

int store_read(struct store *s, struct store_job *job)
{
    int err = queue_put(&s->reads, job);
    if (err == TEDDY_OK)
        queue_wake(&s->reads);
    return err;
}

int store_read_later(struct store *s, struct store_job *job)
{
    return queue_put(&s->reads, job);
}

void store_read_go(struct store *s)
{
    queue_wake(&s->reads);
}

int store_write(struct store *s, struct store_job *job)
{
    int err = queue_put(&s->writes, job);
    if (err == TEDDY_OK)
        queue_wake(&s->writes);
    return err;
}

/* Somebody else's job, and one who waits for it. */
struct waited {
    struct store_job job; /* first */
    struct store_job *inner;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool finished;
};

static int run_inner(struct store_tx *tx, struct store_job *job)
{
    struct waited *w = (struct waited *)job;
    return w->inner->run(tx, w->inner);
}

static void wake(struct store_job *job)
{
    struct waited *w = (struct waited *)job;
    pthread_mutex_lock(&w->lock);
    w->finished = true;
    pthread_cond_signal(&w->ready);
    pthread_mutex_unlock(&w->lock);
}

static int wait_in(struct queue *q, struct store_job *inner)
{
    struct waited w = {.job = {.run = run_inner, .done = wake}, .inner = inner};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.ready, NULL);
    int err = queue_put(q, &w.job);
    if (err == TEDDY_OK) {
        queue_wake(q);
        pthread_mutex_lock(&w.lock);
        while (!w.finished)
            pthread_cond_wait(&w.ready, &w.lock);
        pthread_mutex_unlock(&w.lock);
        err = w.job.result;
    }
    inner->result = err;
    pthread_cond_destroy(&w.ready);
    pthread_mutex_destroy(&w.lock);
    return err;
}

int store_write_wait(struct store *s, struct store_job *job)
{
    return wait_in(&s->writes, job);
}

int store_read_wait(struct store *s, struct store_job *job)
{
    return wait_in(&s->reads, job);
}

static unsigned waiting_in(const struct queue *q)
{
    struct queue *locked = (struct queue *)q; /* the count is only read */
    pthread_mutex_lock(&locked->lock);
    unsigned n = q->waiting;
    pthread_mutex_unlock(&locked->lock);
    return n;
}

void store_stats(const struct store *s, uint64_t *commits, uint64_t *jobs, unsigned *waiting)
{
    *commits = atomic_load_explicit(&s->commits, memory_order_relaxed);
    *jobs = atomic_load_explicit(&s->jobs, memory_order_relaxed);
    *waiting = waiting_in(&s->reads) + waiting_in(&s->writes);
}
