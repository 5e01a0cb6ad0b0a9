/* How a command reaches the registry: over the running server's admin socket, or, when nobody
 * listens there, by the same job on the store itself, under the lock that keeps a server from
 * starting meanwhile. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/child.h"
#include "admin/talk.h"
#include "admin/token.h"
#include "cli/link.h"
#include "identity/audit_key.h"
#include "ops/config.h"
#include "ops/datalock.h"
#include "proto/text.h"

#define LOCK_TRIES                                                                                 \
    50 /* of 100 ms: a server that is starting or ending has the lock, but no socket */

/* What the server's configuration says about its data directory; --data says it all. */
static int find_config(const struct ctl *ctl, struct config *c)
{
    char *argv[] = {(char *)(uintptr_t) "teddyctl", (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)ctl->config, NULL};
    char err[512];

    if (ctl->data == NULL) {
        int rc = config_load(c, ctl->config != NULL ? 3 : 1, argv, err, sizeof err);
        return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
    }
    memset(c, 0, sizeof *c);
    if (ctl->data[0] == '\0' || strlen(ctl->data) >= sizeof c->data)
        return usage("--data takes a directory, at most %zu bytes", sizeof c->data - 1);
    memcpy(c->data, ctl->data, strlen(ctl->data));
    const char *key_file = getenv("TEDDY_MASTER_KEY_FILE");
    if (key_file != NULL)
        (void)snprintf(c->master_key_file, sizeof c->master_key_file, "%s", key_file);
    c->downlink_queue_max = CONFIG_DOWNLINK_QUEUE_MAX;
    c->downlink_expiry_s = CONFIG_DOWNLINK_EXPIRY_S;
    c->downlink_max = CONFIG_DOWNLINK_MAX;
    return CTL_DONE;
}

/* CTL_DONE, or what has been printed, or LINK_NO_SERVER: there is no such directory, and `quiet`
 * asked not to mind. */
int link_dir(struct ctl *ctl, bool make, bool quiet)
{
    struct config c;
    char err[512];
    int rc = find_config(ctl, &c);

    if (rc != CTL_DONE)
        return rc;
    ctl->es256 = strcmp(c.jwt_alg, "ES256") == 0;
    ctl->downlinks =
        (struct admin_downlinks){c.downlink_queue_max, c.downlink_expiry_s, c.downlink_max};
    memcpy(ctl->master_key_file, c.master_key_file, sizeof ctl->master_key_file);
    rc = config_data_dir(&c, make, ctl->dir, sizeof ctl->dir, err, sizeof err);
    if (rc == TEDDY_ENOTFOUND && quiet)
        return LINK_NO_SERVER;
    if (rc == TEDDY_ENOTFOUND)
        return fail("%s; start teddyd (systemctl start teddyd), or say with --data where its data "
                    "is, of the "
                    "package's /var/lib/teddy",
                    err);
    if (rc == TEDDY_EIO && geteuid() != 0)
        return fail("%s; if it is the server's, run teddyctl as root: sudo teddyctl …", err);
    return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
}

/* The rest of a command that works on the store itself. */
static int fill_command(const struct ctl *ctl, const struct ctl_call *call, struct admin_command *c)
{
    char why[192];
    bool bad_json;

    c->limit = ADMIN_LIST_MAX;
    c->opens_epoch = true;
    (void)snprintf(c->actor, sizeof c->actor, "uid:%u", ctl->uid);
    if (call->secret != NULL)
        memcpy(c->secret, call->secret, sizeof c->secret);
    if (call->sid != NULL && hex_decode(span_of(call->sid), c->sid, sizeof c->sid) != TEDDY_OK)
        return usage("a sid is 32 hex digits");
    if (call->verb == ADMIN_SEND &&
        !admin_command_message(c, call->text, &ctl->downlinks, &bad_json, why, sizeof why))
        return fail("%s", why);
    if (call->verb == ADMIN_TOKEN_CREATE &&
        !admin_token_read(c, call->text, &bad_json, why, sizeof why))
        return fail("%s", why);
    if ((call->verb == ADMIN_PROFILE_SET || call->verb == ADMIN_PROCESSOR) &&
        !talk_read(c, call->text, &bad_json, why, sizeof why))
        return fail("%s", why);
    if (call->device != NULL)
        (void)snprintf(c->talk->device_id, sizeof c->talk->device_id, "%s", call->device);
    if (call->days != NULL)
        c->talk->days = call->days_number;
    if (call->fleet != NULL)
        devices_fill(call->fleet, c);
    if (call->verb == ADMIN_BATCH_LIST)
        c->batch = *call->batch;
    if (call->after != NULL)
        (void)snprintf(c->child->after, sizeof c->child->after, "%s", call->after);
    const char *wrong = call->verb == ADMIN_BATCH_ADD ? admin_command_batch(c, call->batch) : NULL;
    if (wrong != NULL)
        return fail("%s", wrong);
    return CTL_DONE;
}

/* Takes the answer over. */
static int take_answer(struct admin_answer *a, const char *file, json_t **reply)
{
    char *text = admin_answer_text(a, NULL);
    int rc = text != NULL ? link_take_reply(text, strlen(text), a->status, file, reply)
                          : fail("out of memory");

    if (text != NULL)
        wipe(text, strlen(text));
    free(text);
    admin_answer_fini(a);
    return rc;
}

static int run_command(struct store *store, struct admin_command *c, const char *file,
                       json_t **reply)
{
    struct admin_answer a;

    admin_command_wait(c, store);
    admin_command_answer(c, &a);
    return take_answer(&a, file, reply);
}

int link_store(const struct ctl *ctl, struct master_key *master, struct store **out, char *err,
               size_t cap)
{
    char path[sizeof ctl->dir + 32], why[512];
    struct store_options options = {.path = path, .master = &master->keys};
    int rc;

    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    rc = master_key_find(master, ctl->master_key_file, ctl->dir, err, cap);
    if (rc == TEDDY_OK)
        rc = store_open(&options, out, err, cap);
    if (rc == TEDDY_OK && master_key_settle(master, why, sizeof why) != TEDDY_OK)
        (void)fail("%s", why); /* it is found again at the next start */
    master_key_forget(master);
    return rc;
}

/* What may come before the server's first start. */
static bool makes_data(const struct ctl_call *call)
{
    return call->verb == ADMIN_ADD || call->verb == ADMIN_IMPORT ||
           call->verb == ADMIN_TOKEN_CREATE || call->verb == ADMIN_BATCH_ADD ||
           (call->verb == ADMIN_BATCH_LIST && call->begins);
}

static int call_store(struct ctl *ctl, const struct ctl_call *call, const char *file,
                      json_t **reply)
{
    char path[sizeof ctl->dir + 32], err[512];
    struct master_key master;
    struct admin_command *c = NULL;
    struct audit_key *key = NULL;
    struct store *store = NULL;
    int rc = TEDDY_OK;

    /* Of a directory that is the wrong one no receipt says that there is nothing of the child. */
    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    if (!makes_data(call) && access(path, F_OK) != 0)
        return fail("%s is not there; start teddyd, or say with --data where its data is", path);
    (void)snprintf(path, sizeof path, "%s/" AUDIT_KEY_FILE, ctl->dir);
    if (call->verb == ADMIN_FORGET)
        rc = audit_key_load(path, &key, err, sizeof err);
    if (rc == TEDDY_OK)
        rc = link_store(ctl, &master, &store, err, sizeof err);
    if (rc != TEDDY_OK) {
        audit_key_free(key);
        return fail("%s", err);
    }
    c = admin_command_new(call->verb, call->batch != NULL ? call->batch->id : call->id, call->text);
    if (c != NULL)
        (void)snprintf(c->actor, sizeof c->actor, "uid:%u", ctl->uid);
    rc = c != NULL ? fill_command(ctl, call, c) : fail("out of memory");
    if (c != NULL)
        c->master = &master;
    if (c != NULL && c->child != NULL)
        c->child->key = key;
    if (c != NULL && call->verb == ADMIN_IMPORT && c->import != NULL) {
        c->import->watch = call->watch;
        c->import->arg = call->arg;
    }
    if (rc == CTL_DONE)
        rc = run_command(store, c, file, reply);
    admin_command_free(c);
    audit_store_close(ctl, store);
    audit_key_free(key);
    return rc;
}

/* Root that works on the store of another user, as which the server will run, does it as that user,
 * so that no file in there ends up being root's, and the server shut out. False with errno. */
bool link_become_owner(const char *dir)
{
    struct stat st;

    if (geteuid() != 0)
        return true;
    if (stat(dir, &st) != 0)
        return false;
    return st.st_uid == 0 ||
           (setgroups(0, NULL) == 0 && setegid(st.st_gid) == 0 && seteuid(st.st_uid) == 0);
}

/* What is written elsewhere, say a batch's files, is of who runs teddyctl. */
void link_become_self(void)
{
    if (seteuid(getuid()) != 0 || setegid(getgid()) != 0)
        abort();
}

/* After the work that reach has allowed. */
static void leave(int lock)
{
    data_unlock(lock);
    link_become_self();
}

/* On the socket, as in the directory, root and the directory's owner are let in, and nobody else:
 * no group is. */
int link_not_ours(const struct ctl *ctl, const char *err)
{
    const struct passwd *owner = NULL;
    struct stat st;

    if (stat(ctl->dir, &st) == 0)
        owner = getpwuid(st.st_uid);
    return fail("%s; its files and %s/%s are for root and the server's user%s%s alone: sudo "
                "teddyctl …",
                err, ctl->dir, ADMIN_SOCKET, owner != NULL ? " " : "",
                owner != NULL ? owner->pw_name : "");
}

int link_may(const struct ctl *ctl)
{
    char path[sizeof ctl->dir + 32];

    (void)snprintf(path, sizeof path, "%s/teddy.db", ctl->dir);
    if (access(path, R_OK | W_OK) != 0 && errno == EACCES)
        return link_not_ours(ctl, "the database is closed");
    return CTL_DONE;
}

/* Asks the server; when none runs, *reply stays NULL and *lock is the data directory's. On failure
 * a line has been printed. */
static int reach(struct ctl *ctl, const struct link_request *r, bool make, const char *file,
                 json_t **reply, int *lock)
{
    char err[512] = "";
    int rc = link_dir(ctl, make, false), held = TEDDY_AGAIN;

    *reply = NULL;
    for (int i = 0; rc == CTL_DONE && i < LOCK_TRIES; i++) {
        rc = link_ask(ctl, r, file, reply);
        if (rc != LINK_NO_SERVER)
            break;
        rc = CTL_DONE;
        if (!link_become_owner(ctl->dir)) {
            rc = fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
            break;
        }
        held = data_lock(ctl->dir, lock, err, sizeof err);
        if (held != TEDDY_AGAIN)
            break;
        (void)nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    if (rc == CTL_DONE && *reply == NULL && held != TEDDY_OK)
        rc = held == TEDDY_AGAIN
                 ? fail("%s, which does not answer; end it or wait for it, then try again", err)
                 : link_not_ours(ctl, err);
    if (rc != CTL_DONE || *reply != NULL)
        link_become_self();
    return rc;
}

int link_call(struct ctl *ctl, const struct ctl_call *call, const char *file, json_t **reply)
{
    char path[LINK_PATH_MAX], body[256] = "";
    struct link_request r;
    int rc, lock = -1;

    link_request_write(call, &r, path, body);
    rc = reach(ctl, &r, makes_data(call), file, reply, &lock);
    wipe(body, sizeof body);
    if (rc != CTL_DONE || *reply != NULL)
        return rc;
    rc = call_store(ctl, call, file, reply);
    leave(lock);
    return rc;
}

int link_work(struct ctl *ctl, const struct ctl_work *work, json_t **reply)
{
    struct link_request r = {.method = work->method, .path = work->path};
    struct admin_answer a;
    int rc, lock = -1;

    if (work->json != NULL) {
        r.type = LINK_JSON_TYPE;
        r.body = work->json;
        r.len = strlen(work->json);
    }
    rc = reach(ctl, &r, work->make, "", reply, &lock);
    if (rc != CTL_DONE || *reply != NULL)
        return rc;
    work->offline(ctl, work->arg, &a);
    rc = take_answer(&a, "", reply);
    leave(lock);
    return rc;
}

int link_server(struct ctl *ctl, const char *method, const char *path, const char *none,
                json_t **reply)
{
    struct link_request r = {.method = method, .path = path};
    int rc;

    *reply = NULL;
    rc = link_dir(ctl, false, none == NULL);
    if (rc == CTL_DONE)
        rc = link_ask(ctl, &r, "", reply);
    if (rc != LINK_NO_SERVER)
        return rc;
    if (none == NULL)
        return CTL_DONE;
    return access(ctl->dir, R_OK | X_OK) != 0
               ? link_not_ours(ctl, "the data directory is closed")
               : fail("no server is running on %s; %s", ctl->dir, none);
}

int link_files(struct ctl *ctl)
{
    int rc = link_dir(ctl, false, false);

    if (rc == CTL_DONE && !link_become_owner(ctl->dir))
        rc = fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
    return rc == CTL_DONE ? link_may(ctl) : rc;
}
