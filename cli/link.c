/* How a command reaches the registry: over the running server's admin socket, or, when nobody
 * listens there, by the same job on the store itself, under the lock that keeps a server from
 * starting meanwhile. */
#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/child.h"
#include "admin/talk.h"
#include "admin/token.h"
#include "cli/ctl.h"
#include "identity/audit_key.h"
#include "ops/config.h"
#include "ops/datalock.h"
#include "proto/endpoints.h"
#include "proto/text.h"
#include "proto/writer.h"

#define ANSWER_MAX ((size_t)ADMIN_ANSWER_MAX)
#define TIMEOUT_S  60L
#define LOCK_TRIES                                                                                 \
    50 /* of 100 ms: a server that is starting or ending has the lock, but no socket */
#define NO_SERVER    (-1)
#define PATH_MAX_LEN 640
#define IMPORT_TYPE  "Content-Type: text/csv"
#define JSON_TYPE    "Content-Type: application/json"

struct request {
    const char *method, *path, *type; /* type NULL: no body */
    const char *body;
    size_t len;
};

struct buffer {
    char *p;
    size_t len, cap;
};

static void buffer_fini(struct buffer *b)
{
    if (b->p != NULL)
        wipe(b->p, b->cap);
    free(b->p);
}

/* Not realloc: what it leaves behind may hold a secret. */
static size_t receive(char *data, size_t size, size_t n, void *user)
{
    struct buffer *b = user;
    size_t len = size * n;

    if (len > ANSWER_MAX - b->len)
        return 0;
    if (len > b->cap - b->len) {
        size_t cap = 2 * (b->len + len) + 4096;
        char *more = malloc(cap);
        if (more == NULL)
            return 0;
        if (b->len > 0)
            memcpy(more, b->p, b->len);
        buffer_fini(b);
        b->p = more;
        b->cap = cap;
    }
    memcpy(b->p + b->len, data, len);
    b->len += len;
    return len;
}

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

/* CTL_DONE, or what has been printed, or NO_SERVER: there is no such directory, and `quiet` asked
 * not to mind. */
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
        return NO_SERVER;
    if (rc == TEDDY_ENOTFOUND)
        return fail("%s; start teddyd, or say with --data where its data is", err);
    return rc == TEDDY_OK ? CTL_DONE : fail("%s", err);
}

static bool set_up(CURL *curl, const struct request *r, struct buffer *out,
                   struct curl_slist **fields, const char *socket_path)
{
    char url[PATH_MAX_LEN + 32];
    CURLcode rc = CURLE_OK;

    (void)snprintf(url, sizeof url, "http://localhost%s", r->path);
    *fields = curl_slist_append(NULL, "Expect:");
    if (*fields != NULL && r->type != NULL) {
        struct curl_slist *more = curl_slist_append(*fields, r->type);
        if (more == NULL)
            return false;
        *fields = more;
    }
    rc |= *fields == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK;
    rc |= curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    rc |= curl_easy_setopt(curl, CURLOPT_URL, url);
    rc |= curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    rc |= curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    rc |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *fields);
    rc |= curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    rc |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    rc |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (strcmp(r->method, "POST") == 0) {
        rc |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->type != NULL ? r->body : "");
        rc |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
    }
    return rc == CURLE_OK;
}

/* CTL_DONE with *status and out, NO_SERVER, or CTL_FAILED with a line printed. */
static int ask(struct ctl *ctl, const struct request *r, long *status, struct buffer *out)
{
    char path[sizeof ctl->dir + 32], why[CURL_ERROR_SIZE] = "";
    struct curl_slist *fields = NULL;
    CURL *curl;
    CURLcode rc;

    (void)snprintf(path, sizeof path, "%s/%s", ctl->dir, ADMIN_SOCKET);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return NO_SERVER; /* no socket can be there */
    curl = curl_easy_init();
    if (curl == NULL || !set_up(curl, r, out, &fields, path)) {
        curl_slist_free_all(fields);
        curl_easy_cleanup(curl);
        return fail("libcurl could not be set up");
    }
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    rc = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    if (rc == CURLE_COULDNT_CONNECT)
        return NO_SERVER;
    if (rc != CURLE_OK)
        return fail("the server on %s did not answer (%s); its log may say why", ctl->dir,
                    why[0] != '\0' ? why : curl_easy_strerror(rc));
    return CTL_DONE;
}

int link_refused(const json_t *problem, const char *file)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *code = json_string_value(json_object_get(problem, "code"));
    const json_t *errors = json_object_get(problem, "errors");

    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *e = json_array_get(errors, i);
        const char *what = json_string_value(json_object_get(e, "error"));
        (void)fprintf(stderr, "%s:%lld: %s\n", file,
                      (long long)json_integer_value(json_object_get(e, "line")),
                      what != NULL ? what : "bad");
    }
    return fail("%s%s", detail != NULL ? detail : "refused", code != NULL ? link_hint(code) : "");
}

/* The server's or our own answer as JSON. */
static int take_reply(const char *text, size_t len, long status, const char *file, json_t **reply)
{
    json_t *json = json_loadb(text, len, 0, NULL);
    int rc = CTL_DONE;

    if (status >= 200 && status < 300 && json != NULL) {
        *reply = json;
        return rc;
    }
    if (file == NULL && json_is_string(json_object_get(json, "code"))) {
        *reply = json;
        return CTL_FAILED;
    }
    rc = json_is_string(json_object_get(json, "detail"))
             ? link_refused(json, file != NULL ? file : "")
             : fail("the server answered with status %ld", status);
    json_decref(json);
    return rc;
}

static int ask_reply(struct ctl *ctl, const struct request *r, const char *file, json_t **reply)
{
    struct buffer out = {0};
    long status = 0;
    int rc = ask(ctl, r, &status, &out);

    if (rc == CTL_DONE)
        rc = take_reply(out.p != NULL ? out.p : "", out.len, status, file, reply);
    buffer_fini(&out);
    return rc;
}

/* The request of a call; body is room for the JSON of ADMIN_ADD. */
static void write_request(const struct ctl_call *call, struct request *r, char path[PATH_MAX_LEN],
                          char body[256])
{
    static const struct {
        const char *method, *before, *after;
    } forms[] = {
        [ADMIN_LIST] = {"GET", "/devices?limit=1000", ""},
        [ADMIN_ADD] = {"POST", "/devices", ""},
        [ADMIN_SHOW] = {"GET", "/devices/", ""},
        [ADMIN_REMOVE] = {"DELETE", "/devices/", ""},
        [ADMIN_ENABLE] = {"POST", "/devices/", "/enable"},
        [ADMIN_DISABLE] = {"POST", "/devices/", "/disable"},
        [ADMIN_ROTATE] = {"POST", "/devices/", "/rotate-secret"},
        [ADMIN_RELEASE] = {"POST", "/devices/", "/release"},
        [ADMIN_REVOKE] = {"POST", "/devices/", "/revoke"},
        [ADMIN_IMPORT] = {"POST", "/devices/import", ""},
        [ADMIN_FORGET] = {"POST", "/children/", "/forget"},
        [ADMIN_CHILD_REVOKE] = {"POST", "/children/", "/revoke"},
        [ADMIN_CHILD_EXPORT] = {"GET", "/children/", "/export"},
        [ADMIN_PROFILE_SET] = {"POST", "/children/", "/profile"},
        [ADMIN_PROFILE_SHOW] = {"GET", "/children/", "/profile"},
        [ADMIN_REPORT] = {"GET", "/children/", "/report"},
        [ADMIN_PROCESSOR] = {"POST", "/devices/", "/processor"},
        [ADMIN_SEND] = {"POST", "/devices/", "/messages"},
        [ADMIN_MESSAGES] = {"GET", "/devices/", "/messages"},
        [ADMIN_CLEAR] = {"DELETE", "/devices/", "/messages"},
        [ADMIN_TOKEN_CREATE] = {"POST", "/admin-tokens", ""},
        [ADMIN_TOKEN_LIST] = {"GET", "/admin-tokens", ""},
        [ADMIN_TOKEN_REVOKE] = {"POST", "/admin-tokens/", "/revoke"},
        [ADMIN_BATCH_ADD] = {"POST", "/batches", ""},
        [ADMIN_BATCH_LIST] = {"GET", "/batches", ""},
        [ADMIN_MASTER_STATUS] = {"GET", "/master-key", ""},
        [ADMIN_MASTER_ROTATE] = {"POST", "/master-key/rotate", ""},
        [ADMIN_RELEASE_ROTATE] = {"POST", "/devices/", "/release-rotate"},
        [ADMIN_FAMILIES] = {"GET", "/devices/", "/families"},
        [ADMIN_FAMILY_REVOKE] = {"POST", "/devices/", "/families/"},
        [ADMIN_TELEMETRY] = {"GET", "/devices/", "/telemetry"},
        [ADMIN_SESSIONS] = {"GET", "/devices/", "/sessions"},
    };
    const char *id = call->id != NULL ? call->id : "";
    bool in_path = call->verb != ADMIN_ADD && call->verb != ADMIN_LIST &&
                   call->verb != ADMIN_IMPORT && call->batch == NULL;

    *r = (struct request){.method = forms[call->verb].method, .path = path};
    (void)snprintf(path, PATH_MAX_LEN, "%s%s%s%s", ENDPOINT_ADMIN, forms[call->verb].before,
                   in_path ? id : "", forms[call->verb].after);
    if (call->sid != NULL)
        (void)snprintf(path + strlen(path), PATH_MAX_LEN - strlen(path), "%s/revoke", call->sid);
    link_query(call, path, PATH_MAX_LEN);
    if (call->verb == ADMIN_SEND || call->verb == ADMIN_TOKEN_CREATE ||
        call->verb == ADMIN_PROFILE_SET || call->verb == ADMIN_PROCESSOR)
        *r = (struct request){r->method, path, JSON_TYPE, call->text.p, call->text.len};
    if (call->verb == ADMIN_IMPORT || call->verb == ADMIN_BATCH_ADD)
        *r = (struct request){r->method, path, IMPORT_TYPE, call->text.p, call->text.len};
    if (call->verb == ADMIN_ADD) {
        struct writer w = writer_on(body, 256);
        writer_text(&w, "{\"device_id\":");
        writer_json_string(&w, span_of(id));
        if (call->secret != NULL) {
            writer_text(&w, ",\"oob_secret\":\"");
            writer_hex(&w, call->secret, LIMIT_SECRET_LEN);
            writer_text(&w, "\"");
        }
        writer_text(&w, "}");
        (void)writer_end(&w);
        *r = (struct request){r->method, path, JSON_TYPE, body, w.len};
    }
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
    if (call->verb == ADMIN_BATCH_LIST)
        c->batch = *call->batch;
    if (call->after != NULL)
        (void)snprintf(c->child->after, sizeof c->child->after, "%s", call->after);
    const char *wrong = call->verb == ADMIN_BATCH_ADD ? admin_command_batch(c, call->batch) : NULL;
    if (wrong != NULL)
        return fail("%s", wrong);
    if (call->fleet != NULL)
        devices_fill(call->fleet, c);
    return CTL_DONE;
}

/* Takes the answer over. */
static int take_answer(struct admin_answer *a, const char *file, json_t **reply)
{
    char *text = admin_answer_text(a, NULL);
    int rc = text != NULL ? take_reply(text, strlen(text), a->status, file, reply)
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

/* Asks the server; when none runs, *reply stays NULL and *lock is the data directory's. On failure
 * a line has been printed. */
static int reach(struct ctl *ctl, const struct request *r, bool make, const char *file,
                 json_t **reply, int *lock)
{
    char err[512] = "";
    int rc = link_dir(ctl, make, false), held = TEDDY_AGAIN;

    *reply = NULL;
    for (int i = 0; rc == CTL_DONE && i < LOCK_TRIES; i++) {
        rc = ask_reply(ctl, r, file, reply);
        if (rc != NO_SERVER)
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
                 : fail("%s; run teddyctl as the user that the server runs as", err);
    if (rc != CTL_DONE || *reply != NULL)
        link_become_self();
    return rc;
}

int link_call(struct ctl *ctl, const struct ctl_call *call, const char *file, json_t **reply)
{
    char path[PATH_MAX_LEN], body[256] = "";
    struct request r;
    int rc, lock = -1;

    write_request(call, &r, path, body);
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
    struct request r = {.method = work->method, .path = work->path};
    struct admin_answer a;
    int rc, lock = -1;

    if (work->json != NULL) {
        r.type = JSON_TYPE;
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
    struct request r = {.method = method, .path = path};
    int rc;

    *reply = NULL;
    rc = link_dir(ctl, false, none == NULL);
    if (rc == CTL_DONE)
        rc = ask_reply(ctl, &r, "", reply);
    if (rc != NO_SERVER)
        return rc;
    return none != NULL ? fail("no server is running on %s; %s", ctl->dir, none) : CTL_DONE;
}

int link_files(struct ctl *ctl)
{
    int rc = link_dir(ctl, false, false);

    if (rc == CTL_DONE && !link_become_owner(ctl->dir))
        rc = fail("%s: its owner's rights cannot be taken: %s", ctl->dir, strerror(errno));
    return rc;
}
