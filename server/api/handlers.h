/* The public endpoints, one file each. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

struct http_request;

void handle_claim(struct http_request *req);
void handle_refresh(struct http_request *req);
void handle_session(struct http_request *req);
void handle_ws_echo(struct http_request *req);
void handle_jwks(struct http_request *req);
void handle_healthz(struct http_request *req);
void handle_readyz(struct http_request *req);
void handle_metrics(struct http_request *req);

#endif
