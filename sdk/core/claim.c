#include "proto/claim.h"
#include "core.h"
#include "proto/endpoints.h"

static void write_body(struct teddy_client *c, struct writer *w)
{
    claim_write(w, c->config.device_id, c->config.child_id, c->proof.nonce, c->proof.digest,
                c->config.firmware);
}

/* The message to sign stays in rx while the port signs it: out_len says that it is there. */
int sdk_claim_prepare(struct teddy_client *c)
{
    if (c->out_len == 0) {
        int rc = sdk_nonce(c);
        if (rc != TEDDY_OK) {
            return rc;
        }
        c->out_len = claim_signed_bytes(c->config.device_id, c->config.child_id, c->proof.nonce,
                                        false, c->rx);
    }
    int rc = c->port->hmac_sha256(c->ctx, c->rx, c->out_len, c->proof.digest);
    if (rc != TEDDY_OK) {
        return rc;
    }
    const char *path = c->config.claim_endpoint;
    return sdk_http_post(c, path != NULL ? path : ENDPOINT_CLAIM, write_body);
}
