/* What is counted: a row per sample. name, labels ("" for none), help: families with several label
 * sets stand together, and the first row has the help. What ends in _total is a counter, the rest
 * are gauges. A label has one of a few values that stand here; none names a device, a child or an
 * address. docs/metrics.md lists them all, and a test compares. */
#ifndef OPS_METRIC_MAP_H
#define OPS_METRIC_MAP_H

/* clang-format off */
#define METRIC_BACKEND_RESULTS(X, ID, backend) \
    X(BACKEND_##ID##_OK, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"ok\"", "Utterances a backend was to answer, by how that ended") \
    X(BACKEND_##ID##_CUT, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"cut\"", "") \
    X(BACKEND_##ID##_TIMEOUT, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"timeout\"", "") \
    X(BACKEND_##ID##_DOWN, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"down\"", "") \
    X(BACKEND_##ID##_ERROR, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"error\"", "") \
    X(BACKEND_##ID##_BUSY, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"busy\"", "") \
    X(BACKEND_##ID##_CANCELLED, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"cancelled\"", "")
#define METRIC_REFUSED(X, ID, what, reason) \
    X(REFUSED_##ID, "teddy_refused_total", "what=\"" what "\",reason=\"" reason "\"", "Refusals by what was asked for and why")
/* Each thing's "other" is what the rest of its reasons is counted as. */
#define METRIC_REFUSED_MAP(X) \
    METRIC_REFUSED(X, CLAIM_BAD_REQUEST, "claim", "bad_request") \
    METRIC_REFUSED(X, CLAIM_DUPLICATE_MEMBER, "claim", "duplicate_member") \
    METRIC_REFUSED(X, CLAIM_INVALID_JSON, "claim", "invalid_json") \
    METRIC_REFUSED(X, CLAIM_INVALID_MEMBERS, "claim", "invalid_members") \
    METRIC_REFUSED(X, CLAIM_INVALID_SIGNATURE, "claim", "invalid_signature") \
    METRIC_REFUSED(X, CLAIM_DEVICE_NOT_FOUND, "claim", "device_not_found") \
    METRIC_REFUSED(X, CLAIM_DEVICE_DISABLED, "claim", "device_disabled") \
    METRIC_REFUSED(X, CLAIM_RELEASE_REQUIRED, "claim", "release_required") \
    METRIC_REFUSED(X, CLAIM_NONCE_REPLAYED, "claim", "nonce_replayed") \
    METRIC_REFUSED(X, CLAIM_RATE_LIMITED, "claim", "rate_limited") \
    METRIC_REFUSED(X, CLAIM_OTHER, "claim", "other") \
    METRIC_REFUSED(X, TOKEN_BAD_REQUEST, "token", "bad_request") \
    METRIC_REFUSED(X, TOKEN_DUPLICATE_MEMBER, "token", "duplicate_member") \
    METRIC_REFUSED(X, TOKEN_INVALID_JSON, "token", "invalid_json") \
    METRIC_REFUSED(X, TOKEN_INVALID_MEMBERS, "token", "invalid_members") \
    METRIC_REFUSED(X, TOKEN_BAD_TOKEN, "token", "bad_token") \
    METRIC_REFUSED(X, TOKEN_TOKEN_EXPIRED, "token", "token_expired") \
    METRIC_REFUSED(X, TOKEN_TOKEN_REUSED, "token", "token_reused") \
    METRIC_REFUSED(X, TOKEN_TOKEN_REVOKED, "token", "token_revoked") \
    METRIC_REFUSED(X, TOKEN_DEVICE_DISABLED, "token", "device_disabled") \
    METRIC_REFUSED(X, TOKEN_RATE_LIMITED, "token", "rate_limited") \
    METRIC_REFUSED(X, TOKEN_STORE_UNAVAILABLE, "token", "store_unavailable") \
    METRIC_REFUSED(X, TOKEN_OTHER, "token", "other") \
    METRIC_REFUSED(X, SESSION_NO_TOKEN, "session", "no_token") \
    METRIC_REFUSED(X, SESSION_BAD_TOKEN, "session", "bad_token") \
    METRIC_REFUSED(X, SESSION_TOKEN_EXPIRED, "session", "token_expired") \
    METRIC_REFUSED(X, SESSION_TOKEN_REVOKED, "session", "token_revoked") \
    METRIC_REFUSED(X, SESSION_WRONG_DEVICE, "session", "wrong_device") \
    METRIC_REFUSED(X, SESSION_DEVICE_DISABLED, "session", "device_disabled") \
    METRIC_REFUSED(X, SESSION_OTHER, "session", "other") \
    METRIC_REFUSED(X, ADMIN_FORBIDDEN, "admin", "forbidden") \
    METRIC_REFUSED(X, ADMIN_BAD_ADMIN_TOKEN, "admin", "bad_admin_token") \
    METRIC_REFUSED(X, ADMIN_ADMIN_TOKEN_EXPIRED, "admin", "admin_token_expired") \
    METRIC_REFUSED(X, ADMIN_TOKEN_IN_QUERY, "admin", "token_in_query") \
    METRIC_REFUSED(X, ADMIN_ROLE_TOO_LOW, "admin", "role_too_low") \
    METRIC_REFUSED(X, ADMIN_OUT_OF_SCOPE, "admin", "out_of_scope") \
    METRIC_REFUSED(X, ADMIN_OTHER, "admin", "other") \
    METRIC_REFUSED(X, MESSAGE_BAD_MESSAGE, "message", "bad_message") \
    METRIC_REFUSED(X, MESSAGE_UNKNOWN_TYPE, "message", "unknown_type") \
    METRIC_REFUSED(X, MESSAGE_UNSUPPORTED, "message", "unsupported") \
    METRIC_REFUSED(X, MESSAGE_TOO_BIG, "message", "too_big") \
    METRIC_REFUSED(X, MESSAGE_BUSY, "message", "busy") \
    METRIC_REFUSED(X, MESSAGE_RATE_LIMITED, "message", "rate_limited") \
    METRIC_REFUSED(X, MESSAGE_NOT_FOUND, "message", "not_found") \
    METRIC_REFUSED(X, MESSAGE_BACKEND_TIMEOUT, "message", "backend_timeout") \
    METRIC_REFUSED(X, MESSAGE_BACKEND_DOWN, "message", "backend_down") \
    METRIC_REFUSED(X, MESSAGE_BACKEND_ERROR, "message", "backend_error") \
    METRIC_REFUSED(X, MESSAGE_BACKEND_BUSY, "message", "backend_busy") \
    METRIC_REFUSED(X, MESSAGE_INTERNAL, "message", "internal") \
    METRIC_REFUSED(X, MESSAGE_OTHER, "message", "other")
#define METRIC_MAP(X) \
    X(CONNECTIONS, "teddy_connections_total", "", "Connections accepted") \
    X(HANDSHAKES_FAILED, "teddy_tls_handshake_failures_total", "", "TLS handshakes that came to nothing") \
    X(HTTP_2XX, "teddy_http_responses_total", "class=\"2xx\"", "HTTP answers by class of status") \
    X(HTTP_4XX, "teddy_http_responses_total", "class=\"4xx\"", "") \
    X(HTTP_5XX, "teddy_http_responses_total", "class=\"5xx\"", "") \
    X(CLAIMS, "teddy_claims_total", "result=\"accepted\"", "Claims by result") \
    X(CLAIMS_REFUSED, "teddy_claims_total", "result=\"refused\"", "") \
    X(CLAIMS_LIMITED, "teddy_claims_total", "result=\"rate_limited\"", "") \
    X(LIMITED_REQUESTS, "teddy_limited_total", "limit=\"requests_per_address\"", "Refusals by limit") \
    X(LIMITED_CLAIM_FAILURES, "teddy_limited_total", "limit=\"claim_failures_per_address\"", "") \
    X(LIMITED_CLAIM_FAILURES_ALL, "teddy_limited_total", "limit=\"claim_failures\"", "") \
    X(LIMITED_CLAIMS, "teddy_limited_total", "limit=\"claims_per_device\"", "") \
    X(LIMITED_REFRESH_FAILURES, "teddy_limited_total", "limit=\"refresh_failures_per_address\"", "") \
    X(LIMITED_REFRESHES, "teddy_limited_total", "limit=\"refreshes_per_device\"", "") \
    X(LIMITED_UPGRADE_REFUSALS, "teddy_limited_total", "limit=\"upgrade_refusals_per_address\"", "") \
    X(LIMITED_ADMIN_FAILURES, "teddy_limited_total", "limit=\"admin_failures_per_address\"", "") \
    X(DEVICE_ATTACKED, "teddy_device_attacks_total", "", "Claims of wrong signature, of one device, beyond 20 a minute") \
    X(REFRESHES, "teddy_refreshes_total", "result=\"accepted\"", "Token refreshes by result") \
    X(REFRESHES_REFUSED, "teddy_refreshes_total", "result=\"refused\"", "") \
    X(SESSIONS_OPENED, "teddy_sessions_opened_total", "", "Sessions that went live") \
    X(SESSIONS_CLOSED, "teddy_sessions_closed_total", "", "Sessions that ended") \
    X(SESSIONS_OPENING, "teddy_sessions", "state=\"opening\"", "Sessions by state: their token is being looked up, live, said goodbye") \
    X(SESSIONS_LIVE, "teddy_sessions", "state=\"live\"", "") \
    X(SESSIONS_CLOSING, "teddy_sessions", "state=\"closing\"", "") \
    X(UPGRADES_REFUSED, "teddy_upgrades_refused_total", "", "Upgrades closed or answered with an error") \
    X(DEVICE_CLONED, "teddy_device_cloned_total", "", "Devices whose sessions keep replacing each other") \
    X(UTTERANCES, "teddy_utterances_total", "", "Utterances taken") \
    X(REPLIES, "teddy_replies_total", "", "Answers completed") \
    X(MESSAGES_IN, "teddy_messages_received_total", "", "WebSocket messages received") \
    X(MESSAGES_OUT, "teddy_messages_sent_total", "", "WebSocket messages sent") \
    X(DOWNLINKS_QUEUED, "teddy_downlinks_queued_total", "", "Messages to toys queued") \
    X(DOWNLINKS_SENT, "teddy_downlinks_sent_total", "", "Messages to toys sent, repeated ones too") \
    X(DOWNLINKS_ACKED, "teddy_downlinks_acked_total", "", "Messages to toys that left their queue because the toy has them") \
    X(DOWNLINKS_EXPIRED, "teddy_downlinks_expired_total", "", "Messages to toys that expired before they were acked") \
    X(DOWNLINKS_DROPPED, "teddy_downlinks_dropped_total", "", "Messages to toys dropped as larger than the toy takes") \
    X(PRUNED_MESSAGES_EXPIRED, "teddy_pruned_total", "kind=\"messages_expired\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_MESSAGES, "teddy_pruned_total", "kind=\"messages\"", "") \
    X(PRUNED_TOKENS, "teddy_pruned_total", "kind=\"token_families\"", "") \
    X(PRUNED_RELEASED, "teddy_pruned_total", "kind=\"released\"", "") \
    X(PRUNED_BINDINGS, "teddy_pruned_total", "kind=\"bindings\"", "") \
    X(PRUNED_CHILDREN, "teddy_pruned_total", "kind=\"children\"", "") \
    X(PRUNED_BATCHES, "teddy_pruned_total", "kind=\"batches\"", "") \
    X(PRUNED_ADMIN_TOKENS, "teddy_pruned_total", "kind=\"admin_tokens\"", "") \
    X(PRUNED_TURNS, "teddy_pruned_total", "kind=\"turns\"", "") \
    X(PRUNED_REPORTS, "teddy_pruned_total", "kind=\"reports\"", "") \
    X(PRUNED_ALERTS, "teddy_pruned_total", "kind=\"alerts\"", "") \
    X(PRUNED_BLOCKED_WORDS, "teddy_pruned_total", "kind=\"blocked_words\"", "") \
    X(PRUNED_TELEMETRY, "teddy_pruned_total", "kind=\"telemetry\"", "") \
    X(PRUNED_SESSIONS, "teddy_pruned_total", "kind=\"sessions\"", "") \
    X(PRUNED_AUDIT, "teddy_pruned_total", "kind=\"audit\"", "") \
    X(HISTORY_WRITTEN_TELEMETRY, "teddy_history_written_total", "kind=\"telemetry\"", "Telemetry and past sessions of toys handed to the store and committed") \
    X(HISTORY_WRITTEN_SESSIONS, "teddy_history_written_total", "kind=\"sessions\"", "") \
    X(HISTORY_DROPPED_TELEMETRY, "teddy_history_dropped_total", "kind=\"telemetry\"", "Telemetry and past sessions of toys not kept, because the store had no room for them") \
    X(HISTORY_DROPPED_SESSIONS, "teddy_history_dropped_total", "kind=\"sessions\"", "") \
    METRIC_REFUSED_MAP(X) \
    X(MESSAGES_REFUSED, "teddy_messages_refused_total", "", "Messages answered with an error") \
    X(BLOCKED_IN, "teddy_blocked_total", "side=\"in\"", "Utterances (in) and answers (out) replaced by words of our own") \
    X(BLOCKED_OUT, "teddy_blocked_total", "side=\"out\"", "") \
    X(MODERATION_PASSED, "teddy_moderation_total", "result=\"passed\"", "Sentences a moderation endpoint was asked about") \
    X(MODERATION_FLAGGED, "teddy_moderation_total", "result=\"flagged\"", "") \
    X(MODERATION_FAILED, "teddy_moderation_total", "result=\"failed\"", "") \
    X(ALERTS_RAISED, "teddy_alerts_total", "event=\"raised\"", "Signs of a child in danger, attempts to tell the operator, and signs counted in an alert that waits or dropped (docs/safety.md)") \
    X(ALERTS_DELIVERED, "teddy_alerts_total", "event=\"delivered\"", "") \
    X(ALERTS_FAILED, "teddy_alerts_total", "event=\"failed\"", "") \
    X(ALERTS_COUNTED, "teddy_alerts_total", "event=\"counted\"", "") \
    X(ALERTS_DROPPED, "teddy_alerts_total", "event=\"dropped\"", "") \
    METRIC_BACKEND_RESULTS(X, CHAT, "chat") \
    METRIC_BACKEND_RESULTS(X, WEBHOOK, "webhook") \
    METRIC_BACKEND_RESULTS(X, EXEC, "exec") \
    X(BACKEND_CHAT_INFLIGHT, "teddy_backend_inflight", "backend=\"chat\"", "Utterances a backend is answering") \
    X(BACKEND_WEBHOOK_INFLIGHT, "teddy_backend_inflight", "backend=\"webhook\"", "") \
    X(BACKEND_EXEC_INFLIGHT, "teddy_backend_inflight", "backend=\"exec\"", "") \
    X(BACKEND_CHAT_QUEUE, "teddy_backend_queue", "backend=\"chat\"", "Utterances that wait for a backend") \
    X(BACKEND_WEBHOOK_QUEUE, "teddy_backend_queue", "backend=\"webhook\"", "") \
    X(BACKEND_EXEC_QUEUE, "teddy_backend_queue", "backend=\"exec\"", "") \
    X(BACKEND_CHAT_OPEN, "teddy_backend_breaker_open", "backend=\"chat\"", "Loops that do not ask a backend because it failed") \
    X(BACKEND_WEBHOOK_OPEN, "teddy_backend_breaker_open", "backend=\"webhook\"", "") \
    X(BACKEND_EXEC_OPEN, "teddy_backend_breaker_open", "backend=\"exec\"", "")

/* The first three are of the kinds of backend, in their order. */
#define HISTOGRAM_MAP(X) \
    X(CHAT_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"chat\"", "From the utterance to the first words of a backend's answer") \
    X(WEBHOOK_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"webhook\"", "") \
    X(EXEC_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"exec\"", "") \
    X(HANDSHAKE, "teddy_tls_handshake_seconds", "", "From an accepted connection to the end of its TLS handshake") \
    X(CLAIM, "teddy_claim_seconds", "", "From a claim's request to its answer, of those accepted") \
    X(COMMIT, "teddy_store_commit_seconds", "", "Transactions of the store's writer, the disk's part included") \
    X(REPLY_FIRST, "teddy_reply_first_word_seconds", "", "From an utterance to the first word of its answer") \
    X(REPLY_DONE, "teddy_reply_done_seconds", "", "From an utterance to the end of its answer, of those answered to the end") \
    X(LOOP_LAG, "teddy_loop_lag_seconds", "", "Rounds of the event loops: as long as one lasts, what comes meanwhile has to wait")
/* clang-format on */

/* Upper bounds of a histogram's buckets; one more has the rest. */
#define HISTOGRAM_BOUNDS_MS 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000
#define HISTOGRAM_BUCKETS   16

#endif
