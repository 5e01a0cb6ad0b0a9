#include "core.h"
#include "proto/claim.h"
#include "proto/endpoints.h"

static void write_body(struct teddy_client *c, struct writer *w)
{
    refresh_write(w, sdk_token(c));
}

int sdk_refresh_prepare(struct teddy_client *c)
{
    return sdk_http_post(c, ENDPOINT_REFRESH, write_body);
}
