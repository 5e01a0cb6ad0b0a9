/* The operator's own service, asked by a signed POST. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "ops/secret_file.h"
#include "process/asked.h"
#include "process/asking.h"
#include "process/processors.h"
#include "proto/text.h"
#include "proto/writer.h"

#define SECRET_MIN 16
#define ID_BYTES   12

struct webhook {
    struct asking asking;
    char secret[SECRET_MAX + 1];
};

/* Over "TIMESTAMP.BODY", so that neither can be changed, and an old one is known for old. */
static bool sign(const struct webhook *h, const char *timestamp, const char *body, uint8_t mac[32])
{
    char *message = NULL;
    unsigned len = 0;
    int n = asprintf(&message, "%s.%s", timestamp, body);
    bool ok = n > 0 && HMAC(EVP_sha256(), h->secret, (int)strlen(h->secret),
                            (const uint8_t *)message, (size_t)n, mac, &len) != NULL;
    if (n > 0)
        asked_free(message);
    return ok && len == 32;
}

static bool set_headers(const struct webhook *h, struct asking_request *out)
{
    char timestamp[24];
    uint8_t mac[32];
    struct writer w = writer_on(out->room, sizeof out->room);
    size_t n = 0;
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)time(NULL));
    if (!sign(h, timestamp, out->body, mac))
        return false;
    out->headers[n++] = "Content-Type: application/json";
    out->headers[n++] = "Accept: application/x-ndjson, application/json";
    out->headers[n++] = w.buf;
    writer_text(&w, "Teddy-Timestamp: ");
    writer_text(&w, timestamp);
    writer_bytes(&w, "", 1);
    out->headers[n++] = w.buf + w.len;
    writer_text(&w, "Teddy-Signature: v1=");
    writer_hex(&w, mac, sizeof mac);
    out->headers[n] = NULL;
    return writer_end(&w) == TEDDY_OK;
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
    else if (rc == TEDDY_OK && strlen(h->secret) < SECRET_MIN)
        snprintf(err, cap, "the webhook's secret is shorter than %d characters", SECRET_MIN);
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
