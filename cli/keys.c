/* The keys of the tokens: teddyctl key list, add, retire. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/keys.h"
#include "admin/trail.h"
#include "cli/ctl.h"
#include "proto/endpoints.h"

struct change {
    struct store_job job; /* first */
    const struct keyring_op *op;
    char actor[ADMIN_ACTOR_LEN + 1];
    struct admin_key_list before, after;
};

static int run_tell(struct store_tx *tx, struct store_job *job)
{
    const struct change *c = (const struct change *)job;

    return admin_trail_keys(tx, c->op, c->actor, &c->before, &c->after);
}

/* The keys are a file, the trail is in the store, which is opened first: what cannot be told is not
 * done. */
static int change_keys(const struct ctl *ctl, const char *path, const struct keyring_policy *policy,
                       struct keyring_op *op, char *err, size_t cap)
{
    struct change c = {.job.run = run_tell, .op = op};
    struct keyring_op list = {.verb = KEYRING_LIST};
    struct master_key master;
    struct store *store = NULL;
    struct keys *keys = NULL;
    uint64_t now_s = (uint64_t)time(NULL);
    int rc = link_store(ctl, &master, &store, err, cap);

    (void)snprintf(c.actor, sizeof c.actor, "uid:%u", ctl->uid);
    if (rc == TEDDY_OK)
        rc = keyring_run(path, policy, NULL, &list, 0, &keys, err, cap); /* as the file has them */
    admin_key_list_take(&c.before, keys);
    keys_free(keys);
    keys = NULL;
    if (rc == TEDDY_OK)
        rc = keyring_run(path, policy, NULL, op, now_s, &keys, err, cap);
    admin_key_list_take(&c.after, keys);
    keys_free(keys);
    if (rc == TEDDY_OK && store_write_wait(store, &c.job) != TEDDY_OK)
        (void)fail("the keys are changed, but the audit trail could not be written");
    audit_store_close(ctl, store);
    return rc;
}

static void offline(const struct ctl *ctl, void *arg, struct admin_answer *out)
{
    struct keyring_policy policy = {.alg = ctl->es256 ? JWT_ES256 : JWT_HS256};
    char path[sizeof ctl->dir + 32], err[512] = "";
    struct keyring_op *op = arg;
    struct keys *keys = NULL;
    int rc;

    (void)snprintf(path, sizeof path, "%s/" KEYRING_FILE, ctl->dir);
    if (op->verb != KEYRING_LIST) {
        admin_keys_changed(op, change_keys(ctl, path, &policy, op, err, sizeof err), err, out);
        return;
    }
    rc = keyring_run(path, &policy, NULL, op, (uint64_t)time(NULL), &keys, err, sizeof err);
    if (rc == TEDDY_OK)
        admin_keys_list(keys, out);
    else
        admin_keys_changed(op, rc, err, out);
    keys_free(keys);
}

static const char *member(const json_t *reply, const char *name)
{
    const char *text = json_string_value(json_object_get(reply, name));
    return text != NULL ? text : "?";
}

int run_key_list(struct ctl *ctl, const char *arg)
{
    static const struct print_column columns[] = {{"KID", "kid"},
                                                  {"ALG", "alg"},
                                                  {"STATE", "state"},
                                                  {"MADE", "made"},
                                                  {"SIGNS FROM", "signs_from"},
                                                  {"RETIRED", "retired"},
                                                  {"VERIFIES UNTIL", "verifies_until"}};
    struct keyring_op op = {.verb = KEYRING_LIST};
    struct ctl_work work = {"GET", ENDPOINT_ADMIN "/keys", NULL, false, offline, &op};
    json_t *reply = NULL;
    int rc;

    (void)arg;
    rc = link_work(ctl, &work, &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        rc =
            print_rows(json_object_get(reply, "keys"), columns, sizeof columns / sizeof columns[0]);
    json_decref(reply);
    return rc;
}

/* "0123… ES256 pending, signs from …" */
static void say_key(const json_t *reply)
{
    const char *state = member(reply, "state");

    (void)printf("%s %s %s", member(reply, "kid"), member(reply, "alg"), state);
    if (strcmp(state, "pending") == 0)
        (void)printf(", signs from %s", member(reply, "signs_from"));
    else if (strcmp(state, "verifying") == 0)
        (void)printf(", verifies until %s", member(reply, "verifies_until"));
    (void)printf("\n");
}

int run_key_add(struct ctl *ctl, const char *arg)
{
    struct keyring_op op = {.verb = KEYRING_ADD, .now = ctl->now, .alg_given = ctl->alg != NULL};
    char body[64];
    struct ctl_work work = {"POST", ENDPOINT_ADMIN "/keys", body, true, offline, &op};
    json_t *reply = NULL;
    int rc;

    (void)arg;
    if (ctl->alg != NULL && strcmp(ctl->alg, "HS256") != 0 && strcmp(ctl->alg, "ES256") != 0)
        return usage("--alg takes HS256 or ES256");
    op.alg = ctl->alg != NULL && strcmp(ctl->alg, "ES256") == 0 ? JWT_ES256 : JWT_HS256;
    (void)snprintf(body, sizeof body, "{%s%s%s\"now\":%s}", ctl->alg != NULL ? "\"alg\":\"" : "",
                   ctl->alg != NULL ? ctl->alg : "", ctl->alg != NULL ? "\"," : "",
                   ctl->now ? "true" : "false");
    rc = link_work(ctl, &work, &reply);
    if (rc == CTL_DONE && ctl->json)
        rc = print_json(reply);
    else if (rc == CTL_DONE)
        say_key(reply);
    json_decref(reply);
    return rc;
}

int run_key_retire(struct ctl *ctl, const char *kid)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    struct keyring_op op = {.verb = KEYRING_RETIRE, .now = ctl->now};
    char path[128];
    struct ctl_work work = {"POST", path, ctl->now ? "{\"now\":true}" : "{}", false, offline, &op};
    json_t *reply = NULL;
    size_t len = strlen(kid);
    int rc;

    if (len == 0 || len > JWT_KID_MAX || strspn(kid, allowed) != len)
        return usage("'%.80s' is no kid: teddyctl key list shows them", kid);
    (void)snprintf(op.kid, sizeof op.kid, "%s", kid);
    (void)snprintf(path, sizeof path, ENDPOINT_ADMIN "/keys/%s/retire", kid);
    rc = link_work(ctl, &work, &reply);
    if (rc == CTL_DONE && ctl->json) {
        rc = print_json(reply);
    } else if (rc == CTL_DONE) {
        const char *state = member(reply, "state");
        say_key(reply);
        if (strcmp(state, "signing") == 0)
            (void)printf("it retires once %s signs; teddyctl key list shows when\n",
                         member(reply, "successor"));
    }
    json_decref(reply);
    return rc;
}
