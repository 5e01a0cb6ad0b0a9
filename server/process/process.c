#include "process/processors.h"

static bool always(const struct process_config *config)
{
    (void)config;
    return true;
}

static bool has_chat(const struct process_config *config)
{
    return config->chat.url && config->chat.model;
}

static bool has_webhook(const struct process_config *config)
{
    return config->webhook.url != NULL;
}

static bool has_exec(const struct process_config *config)
{
    return config->exec.command != NULL;
}

/* With what makes the configuration describe it. */
static const struct {
    const struct processor *processor;
    bool (*described)(const struct process_config *config);
} PROCESSORS[] = {
    {&processor_echo, always},         {&processor_script, always}, {&processor_chat, has_chat},
    {&processor_webhook, has_webhook}, {&processor_exec, has_exec},
};

#define COUNT (sizeof PROCESSORS / sizeof PROCESSORS[0])
_Static_assert(COUNT <= PROCESSES_MAX, "room for all");

const struct processor *processor_find(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(PROCESSORS[i].processor->name, name) == 0)
            return PROCESSORS[i].processor;
    return NULL;
}

int processes_open(const struct process_config *config, struct processes *out, char *err,
                   size_t cap)
{
    *out = (struct processes){.count = 0};
    for (size_t i = 0; i < COUNT; i++) {
        struct process p = {.processor = PROCESSORS[i].processor};
        if (!PROCESSORS[i].described(config))
            continue;
        int rc = p.processor->open ? p.processor->open(config, &p.shared, err, cap) : TEDDY_OK;
        if (rc != TEDDY_OK) {
            processes_close(out);
            return rc;
        }
        out->of[out->count++] = p;
    }
    return TEDDY_OK;
}

const struct process *processes_find(const struct processes *all, const char *name)
{
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->of[i].processor->name, name) == 0)
            return &all->of[i];
    return NULL;
}

int processes_start(const struct processes *all, struct loop *loop)
{
    int rc = TEDDY_OK;
    for (unsigned i = 0; rc == TEDDY_OK && i < all->count; i++)
        if (all->of[i].processor->start)
            rc = all->of[i].processor->start(all->of[i].shared, loop);
    return rc;
}

void processes_stop(const struct processes *all, struct loop *loop)
{
    for (unsigned i = 0; i < all->count; i++)
        if (all->of[i].processor->stop)
            all->of[i].processor->stop(all->of[i].shared, loop);
}

void processes_close(struct processes *all)
{
    while (all->count > 0) {
        const struct process *p = &all->of[--all->count];
        if (p->processor->close)
            p->processor->close(p->shared);
    }
}
