/* What the store knows of a pair of toy and child, read by a job that outlives the mind when it has
 * to; and the memory of the last turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mind/internal.h"
#include "ops/log.h"
#include "proto/text.h"

struct load {
    struct store_job job; /* first: run and done get this back */
    struct loop_task task;
    struct loop *loop;
    struct mind *mind; /* NULL: not wanted any more */
    char device[LIMIT_ID_LEN + 1], child[LIMIT_ID_LEN + 1];
    bool with_turns, no_memory;
    unsigned turns_max;
    size_t bytes_max;
    struct person found;
    struct memory memory;
};

/* ---- Memory ---- */

static void drop_oldest(struct memory *m)
{
    struct past *p = m->past[0];
    m->bytes -= p->heard + p->said;
    wipe(p, sizeof *p + p->heard + p->said);
    free(p);
    memmove(m->past, m->past + 1, --m->count * sizeof *m->past);
}

void memory_add(struct memory *m, unsigned turns, size_t bytes, struct span heard, struct span said)
{
    if (turns == 0 || heard.len + said.len > bytes)
        return;
    if (!m->past)
        m->past = calloc(turns, sizeof(struct past *));
    struct past *p = m->past ? malloc(sizeof *p + heard.len + said.len) : NULL;
    if (!p)
        return;
    p->heard = heard.len;
    p->said = said.len;
    memcpy(p->words, heard.p, heard.len);
    if (said.len)
        memcpy(p->words + heard.len, said.p, said.len);
    while (m->count > 0 && (m->count >= turns || m->bytes + heard.len + said.len > bytes))
        drop_oldest(m);
    m->past[m->count++] = p;
    m->bytes += heard.len + said.len;
}

void memory_clear(struct memory *m)
{
    while (m->count > 0)
        drop_oldest(m);
    free(m->past);
    *m = (struct memory){0};
}

/* ---- The job ---- */

static void each_turn(void *arg, const struct talk_turn *turn)
{
    struct load *l = arg;
    memory_add(&l->memory, l->turns_max, l->bytes_max, turn->heard, turn->said);
}

static int run_load(struct store_tx *tx, struct store_job *job)
{
    struct load *l = (struct load *)job;
    struct talk_pair pair;
    memory_clear(&l->memory);
    int rc = store_profile_get(tx, l->device, l->child, &pair, &l->found.profile);
    if (rc != TEDDY_OK)
        return rc;
    snprintf(l->found.processor, sizeof l->found.processor, "%s", pair.processor);
    limits_read_clock(&l->found, mind_now_s());
    rc = store_played_get(tx, l->child, l->found.day, &l->found.played_s);
    if (rc == TEDDY_OK && l->with_turns)
        rc = store_turn_list(tx, &pair, l->child, each_turn, l);
    return rc;
}

static void load_free(struct load *l)
{
    memory_clear(&l->memory);
    wipe(l, sizeof *l);
    free(l);
}

/* The processor that answers this toy; what another one had of this session goes. */
static void choose(struct mind *m)
{
    const struct mind_config *c = &m->minds->config;
    const char *name = m->person.processor;
    const struct process *own = c->process;
    if (name[0]) {
        own = c->processes ? processes_find(c->processes, name) : NULL;
        if (!own)
            LOG(LOG_WARN, "processor_unknown", LOG_S("device", m->who.device),
                LOG_S("processor", name),
                LOG_S("do", "configure it, or teddyctl device set; the fallback answers"));
    }
    if (!own)
        own = c->fallback ? c->fallback : c->process;
    if (m->own_state && m->own != own) {
        m->own->processor->session_free(m->own_state);
        m->own_state = NULL;
    }
    m->own = own;
}

static void on_loaded(struct loop *loop, struct loop_task *task)
{
    struct load *l = CONTAINER(task, struct load, task);
    struct mind *m = l->mind;
    (void)loop;
    if (!m) {
        load_free(l);
        return;
    }
    m->load = NULL;
    bool ok = l->job.result == TEDDY_OK,
         same_day = m->person.known && m->person.day == l->found.day;
    if (ok) {
        uint64_t played = m->person.played_s; /* perhaps not all of it is written yet */
        m->person = l->found;
        m->person.known = true;
        if (same_day && played > m->person.played_s)
            m->person.played_s = played;
        if (l->with_turns) {
            memory_clear(&m->memory);
            m->memory = l->memory;
            l->memory = (struct memory){0};
        }
        if (!mind_remembers(m))
            memory_clear(&m->memory);
        choose(m);
    }
    load_free(l);
    mind_known(m, ok);
}

static void loaded(struct store_job *job)
{
    struct load *l = (struct load *)job;
    loop_post(l->loop, &l->task);
}

bool load_begin(struct mind *m)
{
    const struct mind_config *c = &m->minds->config;
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return false;
    l->job = (struct store_job){.run = run_load, .done = loaded};
    l->task.run = on_loaded;
    l->loop = m->loop;
    l->mind = m;
    l->with_turns = !m->person.known;
    l->turns_max = c->memory_turns;
    l->bytes_max = c->memory_bytes;
    l->found.changes = atomic_load(&m->minds->changes);
    snprintf(l->device, sizeof l->device, "%s", m->who.device);
    snprintf(l->child, sizeof l->child, "%s", m->who.child);
    if (store_read(c->store, &l->job) != TEDDY_OK) {
        load_free(l);
        return false;
    }
    m->load = l;
    return true;
}

void load_drop(struct mind *m)
{
    if (m->load)
        m->load->mind = NULL;
    m->load = NULL;
}
