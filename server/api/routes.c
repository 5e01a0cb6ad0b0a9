#include "api/routes.h"

#include "admin/admin.h"
#include "api/handlers.h"
#include "console/console.h"
#include "proto/endpoints.h"
#include "proto/limits.h"

#define JSON "application/json"

const struct route teddy_routes[] = {
    {"POST", ENDPOINT_CLAIM, ROUTE_NONE, "claim", handle_claim, LIMIT_CLAIM_BODY, JSON, ROLE_NONE},
    {"POST", ENDPOINT_REFRESH, ROUTE_NONE, "refresh", handle_refresh, LIMIT_CLAIM_BODY, JSON,
     ROLE_NONE},
    {"GET", ENDPOINT_WS "/{device_id}", ROUTE_DEVICE, "session", handle_session, 0, NULL,
     ROLE_NONE},
    {"GET", ENDPOINT_WS_ECHO, ROUTE_NONE, "ws_echo", handle_ws_echo, 0, NULL, ROLE_NONE},
    {"GET", ENDPOINT_JWKS, ROUTE_NONE, "jwks", handle_jwks, 0, NULL, ROLE_NONE},
    {"GET", ENDPOINT_HEALTHZ, ROUTE_NONE, "healthz", handle_healthz, 0, NULL, ROLE_NONE},
    {"GET", ENDPOINT_READYZ, ROUTE_NONE, "readyz", handle_readyz, 0, NULL, ROLE_NONE},
    {"GET", ENDPOINT_METRICS, ROUTE_METRICS, "metrics", handle_metrics, 0, NULL, ROLE_NONE},
    ADMIN_ROUTES,
    CONSOLE_ROUTES,
};
const size_t teddy_routes_count = sizeof teddy_routes / sizeof teddy_routes[0];
