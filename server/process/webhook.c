/* The operator's own service, asked by a signed POST. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "ops/secret_file.h"
#include "process/asked.h"
#include "process/asking.h"
#include "process/processors.h"
#include "process/signed.h"
#include "proto/text.h"
#include "proto/writer.h"

#define ID_BYTES 12

struct webhook {
    struct asking asking;
    char secret[SECRET_MAX + 1];
};

static bool set_headers(const struct webhook *h, struct asking_request *out)
{
    out->headers[0] = "Content-Type: application/json";
    out->headers[1] = "Accept: application/x-ndjson, application/json";
    out->headers[4] = NULL;
    return signed_headers(h->secret, out->body, out->room, sizeof out->room, &out->headers[2]);
}

static bool webhook_write(struct asking *a, const struct process_session *who,
                          const struct process_turn *turn, struct asking_request *out)
{
    const struct webhook *h = (const struct webhook *)a;
    char id[2 * ID_BYTES + 1], speaker[SPEAKER_LEN + 1];
    uint8_t random[ID_BYTES];
    struct writer w = writer_on(id, sizeof id);
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        return false;
    writer_hex(&w, random, sizeof random);
    speaker_name(h->secret, who, speaker);
    out->body = writer_end(&w) == TEDDY_OK ? asked_turn(id, speaker, turn) : NULL;
    return out->body != NULL && set_headers(h, out);
}

static int read_secret(struct webhook *h, const char *path, char *err, size_t cap)
{
    int rc = secret_read("teddy-webhook-secret", path, h->secret, err, cap);
    if (rc == TEDDY_ENOTFOUND)
        snprintf(err, cap, "processor webhook needs a webhook_secret_file");
    else if (rc == TEDDY_OK && strlen(h->secret) < SIGNED_SECRET_MIN)
        snprintf(err, cap, "the webhook's secret is shorter than %d characters", SIGNED_SECRET_MIN);
    else
        return rc;
    return TEDDY_EINVAL;
}

static void webhook_close(void *shared)
{
    struct webhook *h = shared;
    asking_close(&h->asking);
    wipe(h->secret, sizeof h->secret);
    free(h);
}

static int webhook_open(const struct process_config *config, void **shared, char *err, size_t cap)
{
    struct webhook *h = calloc(1, sizeof *h);
    if (!h)
        return TEDDY_ENOMEM;
    h->asking =
        (struct asking){.kind = CALLER_WEBHOOK, .answers = ANSWER_REPLY, .write = webhook_write};
    h->asking.url = strdup(config->webhook.url);
    int rc = h->asking.url ? asking_open(&h->asking, config, err, cap) : TEDDY_ENOMEM;
    if (rc == TEDDY_OK)
        rc = read_secret(h, config->webhook.secret_file, err, cap);
    if (rc != TEDDY_OK)
        webhook_close(h);
    else
        *shared = h;
    return rc;
}

const struct processor processor_webhook = {
    .name = "webhook",
    .open = webhook_open,
    .start = asking_start,
    .stop = asking_stop,
    .close = webhook_close,
    .session_new = asking_session_new,
    .session_free = asking_session_free,
    .utter = asking_utter,
    .cancel = asking_cancel,
};
