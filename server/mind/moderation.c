/* The second judge: an HTTP endpoint that is asked about each sentence before it is said. No
 * verdict, a late one, or one that makes no sense: the sentence is not said. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mind/internal.h"
#include "ops/secret_file.h"
#include "proto/text.h"

#define VERDICT_MAX 65536

int moderation_open(struct minds *minds, char *err, size_t cap)
{
    char key[SECRET_MAX + 1];
    if (outgoing_init() != TEDDY_OK) {
        snprintf(err, cap, "libcurl cannot be used");
        return TEDDY_EIO;
    }
    int rc = secret_read("teddy-moderation-key", minds->config.moderation.key_file, key, err, cap);
    if (rc == TEDDY_OK)
        snprintf(minds->authorization, sizeof minds->authorization, "Authorization: Bearer %s",
                 key);
    wipe(key, sizeof key);
    return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
}

static bool on_head(void *user, long status, const char *type)
{
    struct mind *m = user;
    m->turn->verdict_ok = status == 200 && strcmp(type, "application/json") == 0;
    return m->turn->verdict_ok;
}

static void on_data(void *user, struct span bytes)
{
    struct turn *t = ((struct mind *)user)->turn;
    if (buffer_add(&t->verdict, bytes, VERDICT_MAX) != TEDDY_OK)
        t->verdict_ok = false;
}

/* Names of categories as such endpoints use them, by how they begin. */
static enum safety_category category_of(const char *name)
{
    static const struct {
        const char *begins;
        enum safety_category category;
    } names[] = {{"self", SAFETY_SELF_HARM},    {"sexual", SAFETY_SEXUAL},
                 {"violence", SAFETY_VIOLENCE}, {"hate", SAFETY_HATE},
                 {"harassment", SAFETY_HATE},   {"illicit", SAFETY_DRUGS}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(name, names[i].begins, strlen(names[i].begins)) == 0)
            return names[i].category;
    return SAFETY_OTHER;
}

enum finding { PASSES, FLAGGED, NONSENSE };

static enum finding read_result(const json_t *result, enum safety_category *why)
{
    const json_t *flagged = json_object_get(result, "flagged"), *on;
    const char *name;
    if (!json_is_boolean(flagged))
        return NONSENSE;
    if (json_is_false(flagged))
        return PASSES;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(result, "categories"), name,
                        on) if (json_is_true(on) && category_of(name) < *why) *why =
        category_of(name);
    return FLAGGED;
}

/* {"results": [{"flagged": …, "categories": {…}}, …]}, or {"flagged": …} from simpler ones. */
static enum finding read_verdict(struct span text, enum safety_category *why)
{
    json_t *root = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *results = json_object_get(root, "results"), *result;
    enum finding found = results ? NONSENSE : read_result(root, why);
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)results, i, result)
    {
        enum finding one = read_result(result, why);
        found = i == 0 || one == NONSENSE || (one == FLAGGED && found == PASSES) ? one : found;
        if (found == NONSENSE)
            break;
    }
    json_decref(root);
    return found;
}

static void on_end(void *user, enum outgoing_end why, const char *what)
{
    struct mind *m = user;
    struct turn *t = m->turn;
    enum safety_category category = SAFETY_OTHER;
    enum finding found = NONSENSE;
    (void)what;
    t->judge = NULL;
    t->judging = false;
    loop_timer_unset(m->loop, &m->late);
    if (why == OUTGOING_WHOLE && t->verdict_ok && t->verdict.len > 0)
        found = read_verdict((struct span){t->verdict.p, t->verdict.len}, &category);
    t->verdict.len = 0;
    metric_add(loop_index(m->loop),
               found == PASSES    ? METRIC_MODERATION_PASSED
               : found == FLAGGED ? METRIC_MODERATION_FLAGGED
                                  : METRIC_MODERATION_FAILED,
               1);
    if (found == PASSES)
        turn_passed(m);
    else if (found == FLAGGED)
        turn_flagged(m, category);
    else
        turn_unjudged(m);
}

static const struct outgoing_handler HANDLER = {on_head, on_data, on_end};

static char *write_question(const struct minds *minds, struct span sentence)
{
    json_t *root = json_pack("{s:s%}", "input", sentence.p, sentence.len);
    const char *model = minds->config.moderation.model;
    if (root && model && json_object_set_new(root, "model", json_string(model)) != 0) {
        json_decref(root);
        return NULL;
    }
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

bool moderation_ask(struct mind *m, struct span sentence)
{
    struct turn *t = m->turn;
    struct outgoing *outgoing = m->minds->loops[loop_index(m->loop)].outgoing;
    const char *headers[] = {"Content-Type: application/json", "Accept: application/json",
                             m->minds->authorization[0] ? m->minds->authorization : NULL, NULL};
    char *body = outgoing ? write_question(m->minds, sentence) : NULL;
    if (!body)
        return false;
    struct outgoing_request request = {.url = m->minds->config.moderation.url,
                                       .headers = headers,
                                       .body = span_of(body),
                                       .answer_max = VERDICT_MAX};
    t->verdict.len = 0;
    t->verdict_ok = false;
    t->judging = outgoing_start(outgoing, &request, &HANDLER, m, &t->judge) == TEDDY_OK;
    wipe(body, strlen(body));
    free(body);
    if (t->judging)
        loop_timer_set(m->loop, &m->late,
                       loop_now_ms(m->loop) + m->minds->config.moderation.late_ms);
    return t->judging;
}

void moderation_drop(struct mind *m)
{
    struct turn *t = m->turn;
    loop_timer_unset(m->loop, &m->late);
    if (t->judge && m->minds->loops[loop_index(m->loop)].outgoing)
        transfer_cancel(t->judge);
    t->judge = NULL;
    t->judging = false;
}

void moderation_late(struct loop *loop, struct loop_timer *timer)
{
    struct mind *m = CONTAINER(timer, struct mind, late);
    metric_add(loop_index(loop), METRIC_MODERATION_FAILED, 1);
    moderation_drop(m);
    turn_unjudged(m);
}
