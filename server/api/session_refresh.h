#ifndef API_SESSION_REFRESH_H
#define API_SESSION_REFRESH_H

#include "api/app.h"

/* struct session_config's refresh; context is the struct app. It rotates, then calls
 * session_refreshed on this loop (perhaps before it returns). */
void session_refresh(void *context, struct loop *loop, const char *device_id, uint64_t session_id,
                     const uint8_t sid[STORE_JTI_LEN], const char *token);

#endif
