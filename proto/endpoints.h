/* The paths of the public endpoints: the server's route table and the SDK's defaults both take them
 * from here. */
#ifndef PROTO_ENDPOINTS_H
#define PROTO_ENDPOINTS_H

#define ENDPOINT_CLAIM   "/api/v1/pair/claim"
#define ENDPOINT_REFRESH "/api/v1/token/refresh"
#define ENDPOINT_WS      "/ws/esp32" /* followed by "/" and the device id */
#define ENDPOINT_WS_ECHO "/ws/echo"
#define ENDPOINT_JWKS    "/.well-known/jwks.json"
#define ENDPOINT_HEALTHZ "/healthz"
#define ENDPOINT_READYZ  "/readyz"
#define ENDPOINT_METRICS "/metrics"
#define ENDPOINT_ADMIN   "/api/v1/admin"

#endif
