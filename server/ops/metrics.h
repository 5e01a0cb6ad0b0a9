/* Counters, gauges and histograms for Prometheus. Each loop counts in a block of its own, so the
 * hot path shares nothing; a scrape adds them up. */
#ifndef OPS_METRICS_H
#define OPS_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* name, labels ("" for none), help: families with several label sets stand together. What ends in
 * _total is a counter, the rest are gauges. */
/* clang-format off */
#define METRIC_BACKEND_RESULTS(X, ID, backend) \
    X(BACKEND_##ID##_OK, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"ok\"", "Utterances a backend was to answer, by how that ended") \
    X(BACKEND_##ID##_CUT, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"cut\"", "") \
    X(BACKEND_##ID##_TIMEOUT, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"timeout\"", "") \
    X(BACKEND_##ID##_DOWN, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"down\"", "") \
    X(BACKEND_##ID##_ERROR, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"error\"", "") \
    X(BACKEND_##ID##_BUSY, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"busy\"", "") \
    X(BACKEND_##ID##_CANCELLED, "teddy_backend_requests_total", "backend=\"" backend "\",result=\"cancelled\"", "")
#define METRIC_MAP(X) \
    X(CONNECTIONS, "teddy_connections_total", "", "Connections accepted") \
    X(HTTP_2XX, "teddy_http_responses_total", "class=\"2xx\"", "HTTP answers by class of status") \
    X(HTTP_4XX, "teddy_http_responses_total", "class=\"4xx\"", "HTTP answers by class of status") \
    X(HTTP_5XX, "teddy_http_responses_total", "class=\"5xx\"", "HTTP answers by class of status") \
    X(CLAIMS, "teddy_claims_total", "result=\"accepted\"", "Claims by result") \
    X(CLAIMS_REFUSED, "teddy_claims_total", "result=\"refused\"", "Claims by result") \
    X(CLAIMS_LIMITED, "teddy_claims_total", "result=\"rate_limited\"", "Claims by result") \
    X(LIMITED_REQUESTS, "teddy_limited_total", "limit=\"requests_per_address\"", "Refusals by limit") \
    X(LIMITED_CLAIM_FAILURES, "teddy_limited_total", "limit=\"claim_failures_per_address\"", "Refusals by limit") \
    X(LIMITED_CLAIM_FAILURES_ALL, "teddy_limited_total", "limit=\"claim_failures\"", "Refusals by limit") \
    X(LIMITED_CLAIMS, "teddy_limited_total", "limit=\"claims_per_device\"", "Refusals by limit") \
    X(LIMITED_REFRESH_FAILURES, "teddy_limited_total", "limit=\"refresh_failures_per_address\"", "Refusals by limit") \
    X(LIMITED_REFRESHES, "teddy_limited_total", "limit=\"refreshes_per_device\"", "Refusals by limit") \
    X(LIMITED_UPGRADE_REFUSALS, "teddy_limited_total", "limit=\"upgrade_refusals_per_address\"", "Refusals by limit") \
    X(LIMITED_ADMIN_FAILURES, "teddy_limited_total", "limit=\"admin_failures_per_address\"", "Refusals by limit") \
    X(DEVICE_ATTACKED, "teddy_device_attacks_total", "", "Claims of wrong signature, of one device, beyond 20 a minute") \
    X(REFRESHES, "teddy_refreshes_total", "result=\"accepted\"", "Token refreshes by result") \
    X(REFRESHES_REFUSED, "teddy_refreshes_total", "result=\"refused\"", "Token refreshes by result") \
    X(SESSIONS_OPENED, "teddy_sessions_opened_total", "", "Sessions that went live") \
    X(SESSIONS_CLOSED, "teddy_sessions_closed_total", "", "Sessions that ended") \
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
    X(PRUNED_MESSAGES, "teddy_pruned_total", "kind=\"messages\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_TOKENS, "teddy_pruned_total", "kind=\"token_families\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_RELEASED, "teddy_pruned_total", "kind=\"released\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_BINDINGS, "teddy_pruned_total", "kind=\"bindings\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_CHILDREN, "teddy_pruned_total", "kind=\"children\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_BATCHES, "teddy_pruned_total", "kind=\"batches\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_ADMIN_TOKENS, "teddy_pruned_total", "kind=\"admin_tokens\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_TURNS, "teddy_pruned_total", "kind=\"turns\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_REPORTS, "teddy_pruned_total", "kind=\"reports\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_TELEMETRY, "teddy_pruned_total", "kind=\"telemetry\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_SESSIONS, "teddy_pruned_total", "kind=\"sessions\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(PRUNED_AUDIT, "teddy_pruned_total", "kind=\"audit\"", "Rows removed because of their age, by kind (docs/privacy.md)") \
    X(HISTORY_WRITTEN_TELEMETRY, "teddy_history_written_total", "kind=\"telemetry\"", "Telemetry and past sessions of toys handed to the store and committed") \
    X(HISTORY_WRITTEN_SESSIONS, "teddy_history_written_total", "kind=\"sessions\"", "") \
    X(HISTORY_DROPPED_TELEMETRY, "teddy_history_dropped_total", "kind=\"telemetry\"", "Telemetry and past sessions of toys not kept, because the store had no room for them") \
    X(HISTORY_DROPPED_SESSIONS, "teddy_history_dropped_total", "kind=\"sessions\"", "") \
    X(MESSAGES_REFUSED, "teddy_messages_refused_total", "", "Messages answered with an error") \
    X(BLOCKED_IN, "teddy_blocked_total", "side=\"in\"", "Utterances (in) and answers (out) replaced by words of our own") \
    X(BLOCKED_OUT, "teddy_blocked_total", "side=\"out\"", "") \
    X(MODERATION_PASSED, "teddy_moderation_total", "result=\"passed\"", "Sentences a moderation endpoint was asked about") \
    X(MODERATION_FLAGGED, "teddy_moderation_total", "result=\"flagged\"", "") \
    X(MODERATION_FAILED, "teddy_moderation_total", "result=\"failed\"", "") \
    X(ALERTS_RAISED, "teddy_alerts_total", "event=\"raised\"", "Signs of a child in danger, and attempts to tell the operator") \
    X(ALERTS_DELIVERED, "teddy_alerts_total", "event=\"delivered\"", "") \
    X(ALERTS_FAILED, "teddy_alerts_total", "event=\"failed\"", "") \
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

#define HISTOGRAM_MAP(X) \
    X(CHAT_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"chat\"", "From the utterance to the first words of a backend's answer") \
    X(WEBHOOK_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"webhook\"", "") \
    X(EXEC_FIRST_TOKEN, "teddy_backend_first_token_seconds", "backend=\"exec\"", "")
/* clang-format on */

enum metric {
#define METRIC_ENUM(id, name, labels, help) METRIC_##id,
    METRIC_MAP(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

enum histogram {
#define HISTOGRAM_ENUM(id, name, labels, help) HISTOGRAM_##id,
    HISTOGRAM_MAP(HISTOGRAM_ENUM)
#undef HISTOGRAM_ENUM
        HISTOGRAM_COUNT
};

/* Upper bounds of a histogram's buckets; one more has the rest. */
#define HISTOGRAM_BOUNDS_MS 50, 100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000
#define HISTOGRAM_BUCKETS   11

#define METRIC_LOOPS_MAX 64

/* Counts on a loop's thread (loop_index). A gauge goes down again with METRIC_LESS. */
void metric_add(unsigned loop, enum metric m, uint64_t n);
#define METRIC_LESS UINT64_MAX
void histogram_add(unsigned loop, enum histogram h, uint64_t ms);
/* The sum over the loops. Threads: any. */
uint64_t metric_read(enum metric m);
/* All families in Prometheus' text format (version 0.0.4), appended to what the caller writes;
 * returns the bytes written, cut at cap. */
size_t metrics_write(char *out, size_t cap);

#endif
