/* The server's configuration. Each key is one line of CONFIG_MAP: the file, the environment, the
 * flags, --help and the reference page in docs/ all come from it. Precedence: flag, environment
 * (TEDDY_ and the key in capitals), file, default. */
#ifndef OPS_CONFIG_H
#define OPS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "teddy/err.h"

/* Defaults that teddyctl needs too, when it works on the store of a server that does not run. */
#define CONFIG_DOWNLINK_QUEUE_MAX 64
#define CONFIG_DOWNLINK_EXPIRY_S  604800
#define CONFIG_DOWNLINK_MAX       1024

/* S(key, default, help): text. N(key, default, min, max, unit, help): whole number. B(key, default,
 * help): on or off. E(key, default, choices, help): one of the words in choices, separated by "|".
 */
/* clang-format off */
#define CONFIG_MAP(S, N, B, E) \
    S(data, "", "Data directory: database, keys, certificate, admin socket. Default: $STATE_DIRECTORY, else $XDG_DATA_HOME/teddy, else ~/.local/share/teddy") \
    S(master_key_file, "", "File of mode 0600 with the key that seals the toys' secrets: 64 hex digits. Before it count the systemd credential teddy-master-key and TEDDY_MASTER_KEY in the environment. Empty: master.key in the data directory, made at the first start") \
    S(listen, "127.0.0.1:8443", "HOST:PORT to serve on; port 0 picks one. PORT in the environment replaces it by 0.0.0.0:PORT") \
    S(metrics_listen, "", "HOST:PORT of /metrics, or PORT for loopback; empty for none. Keep it on loopback or a private network") \
    S(admin_listen, "", "HOST:PORT of the admin API over HTTPS, or PORT for loopback, for bearers of admin tokens (teddyctl admin-token create); empty for none: the admin socket is always there") \
    B(console, true, "Serve the web console on admin_listen, under /console/, and with it the toys' own paths, so that its page can be a toy") \
    B(tls, true, "Serve TLS. off (--no-tls) beyond loopback needs trusted_proxies") \
    S(tls_cert, "", "PEM chain, leaf first; empty for a development certificate made in the data directory") \
    S(tls_key, "", "PEM private key of tls_cert") \
    S(tls_ca, "", "PEM authority that the chain must lead to, checked at start; empty: only warned about") \
    N(tls_ticket_s, 86400, 0, 604800, "seconds", "How long a toy may resume its TLS session; the keys of tickets rotate twice in that time. 0: each handshake is a full one") \
    S(trusted_proxies, "", "Addresses or CIDR blocks, comma-separated, whose X-Forwarded-For is believed") \
    N(loops, 0, 0, 64, "threads", "Event loops; 0 for one per core") \
    N(store_readers, 1, 1, 16, "threads", "Threads that read the store") \
    N(connections_max, 16000, 16, 1000000, "", "Connections at once; an upgrade beyond is closed with 1013") \
    E(processor, "script", "script|echo|chat|webhook|exec", "What answers an utterance (docs/processors.md)") \
    S(script_rules, "", "Rule file of processor script; empty for the one built in (docs/rules.md)") \
    S(chat_url, "", "Processor chat: an OpenAI-compatible server, http(s)://HOST[:PORT][/v1]") \
    S(chat_model, "", "Processor chat: the model's name at that server") \
    S(chat_key_file, "", "Processor chat: file of mode 0600 with the API key. Before it counts the systemd credential teddy-chat-key; empty: no key") \
    S(chat_prompt_file, "", "Processor chat: file with the system prompt, in which {name}, {age}, {language} and {limits} stand for what the child's profile says; empty for the one built in") \
    S(chat_temperature, "", "Processor chat: 0 to 2, as 0.7; empty for the server's own") \
    N(chat_max_tokens, 0, 0, 100000, "tokens", "Processor chat: longest answer asked for; 0 for the server's own") \
    S(webhook_url, "", "Processor webhook: http(s) URL of your service") \
    S(webhook_secret_file, "", "Processor webhook: file of mode 0600 with the secret that signs requests, at least 16 characters. Before it counts the systemd credential teddy-webhook-secret") \
    S(exec_command, "", "Processor exec: absolute path of a program and its arguments, split at spaces; it speaks JSON lines") \
    N(exec_workers, 1, 1, 64, "", "Processor exec: how many of the program run; a toy is always asked of the same one") \
    N(backend_first_token_ms, 8000, 100, 600000, "ms", "A backend's first words must come within, else the fallback answers; waiting for a place counts") \
    N(backend_idle_ms, 8000, 100, 600000, "ms", "A backend that has begun must go on within") \
    N(backend_total_ms, 60000, 100, 3600000, "ms", "A backend's answer must be whole within") \
    N(backend_concurrency, 64, 1, 65536, "", "Utterances that one backend is asked at once, all loops together, each at least 1") \
    N(backend_queue_max, 1024, 0, 65536, "", "Utterances that may wait for a backend, all loops together") \
    N(backend_reply_max, 16384, 256, 1048576, "bytes", "Longest answer of a backend; what is longer ends there") \
    S(backend_ca_file, "", "PEM authorities that a backend's certificate must lead to; empty for the system's") \
    S(backend_proxy, "", "HTTP proxy to backends, http://HOST:PORT; empty for none, whatever the environment says") \
    S(safety_dir, "", "Directory with your own lists of what is not said and not asked, added to those built in (docs/safety.md)") \
    S(safety_language, "en", "Language of children whose profile names none, as BCP 47 writes it") \
    B(safety_allow_uncovered, false, "Let text pass in a language or script that no list covers; off: it is replaced") \
    B(memory, false, "Remember the last turns of a child with its toy, unless its profile says otherwise (docs/privacy.md)") \
    N(memory_turns, 12, 1, 100, "", "Turns remembered of a child with its toy") \
    N(memory_bytes, 8192, 256, 1048576, "bytes", "Words remembered of a child with its toy") \
    B(blocked_words, false, "Keep what a child said when something was blocked, for the parents' report alone (docs/privacy.md); off: only the category and how often") \
    S(moderation_url, "", "Endpoint asked about each sentence before it is said: an OpenAI-compatible /v1/moderations, or what answers {\"flagged\": …}; its failure blocks the sentence. Empty: none") \
    S(moderation_model, "", "Model named to moderation_url; empty: none") \
    S(moderation_key_file, "", "File of mode 0600 with the API key of moderation_url. Before it counts the systemd credential teddy-moderation-key; empty: no key") \
    N(moderation_late_ms, 1500, 50, 60000, "ms", "A verdict must come within, else the sentence is not said") \
    S(alert_url, "", "http(s) URL of your service that is told at once of what may mean a child in danger; empty: only log and audit trail are") \
    S(alert_secret_file, "", "File of mode 0600 with the secret that signs alerts, at least 16 characters. Before it counts the systemd credential teddy-alert-secret") \
    S(jwt_issuer, "teddy", "iss of tokens") \
    S(jwt_audience, "teddy-devices", "aud of tokens") \
    E(jwt_alg, "HS256", "HS256|ES256", "What signs tokens, from the first start or from its change on (teddyctl key add --alg: without a restart); ES256 keys are published at /.well-known/jwks.json") \
    N(access_ttl_s, 3600, 10, 86400, "seconds", "Life of an access token") \
    N(refresh_ttl_s, 5184000, 60, 31536000, "seconds", "Life of a refresh token") \
    E(claim_policy, "require-release", "require-release|allow", "A claim that would move a bound toy to another child") \
    N(claims_per_device_min, 20, 0, 100000, "a minute", "Accepted claims of one device; 0 for no limit") \
    N(claim_failures_per_address_min, 20, 0, 1000000, "a minute", "Failing claims of one address; 0 for no limit") \
    N(claim_failures_min, 6000, 0, 100000000, "a minute", "Failing claims of all addresses together; 0 for no limit") \
    N(refreshes_per_device_min, 20, 0, 100000, "a minute", "Refreshes of one device; 0 for no limit") \
    N(refresh_failures_per_address_min, 20, 0, 1000000, "a minute", "Failing refreshes of one address; 0 for no limit") \
    N(upgrade_refusals_per_address_min, 60, 0, 1000000, "a minute", "Refused upgrades of one address; 0 for no limit") \
    N(requests_per_address_min, 6000, 0, 100000000, "a minute", "All requests of one address; 0 for no limit") \
    N(head_timeout_ms, 10000, 100, 600000, "ms", "A request's head must be whole within") \
    N(body_timeout_ms, 10000, 100, 600000, "ms", "A request's body must be whole within") \
    N(idle_timeout_ms, 60000, 100, 3600000, "ms", "A connection without a request is closed after") \
    N(handshake_timeout_ms, 10000, 100, 600000, "ms", "A TLS handshake must be done within") \
    N(write_stall_timeout_ms, 20000, 100, 600000, "ms", "A peer that does not read is dropped after") \
    N(output_max, 262144, 65536, 67108864, "bytes", "Unsent output of one connection; more drops it") \
    N(utterance_max, 4096, 1, 65536, "bytes", "Longest utterance") \
    N(message_max, 65536, 1024, 16777216, "bytes", "Longest WebSocket message") \
    N(messages_per_s, 20, 0, 1000000, "a second", "Messages of one session, sustained; 0 for no limit") \
    N(messages_burst, 40, 1, 1000000, "", "Messages of one session at once") \
    N(ping_ms, 30000, 100, 3600000, "ms", "Interval of pings") \
    N(silence_ms, 75000, 200, 7200000, "ms", "A peer silent for so long is dropped") \
    N(expiring_notice_s, 120, 1, 3600, "seconds", "token_expiring is sent so long before the session's token expires") \
    N(legacy_session_max_s, 86400, 1, 2592000, "seconds", "Longest session of a toy that never said hello") \
    N(retry_min_ms, 1000, 0, 3600000, "ms", "Least retry_ms told to toys on drain or overload") \
    N(retry_max_ms, 15000, 0, 3600000, "ms", "Most retry_ms told to toys on drain or overload") \
    N(downlink_queue_max, CONFIG_DOWNLINK_QUEUE_MAX, 1, 10000, "", "Messages that may wait for one toy") \
    N(downlink_expiry_s, CONFIG_DOWNLINK_EXPIRY_S, 1, 7776000, "seconds", "A message to a toy waits so long, unless it says how long itself") \
    N(downlink_max, CONFIG_DOWNLINK_MAX, 1, 16384, "bytes", "Longest message to a toy; the SDK's smallest buffer takes the default") \
    N(retention_audit_days, 400, 0, 36500, "days", "Events of the audit trail leave after; 0: never") \
    N(audit_events_max, 20000000, 1000, 4000000000, "", "Most events of the audit trail that are kept; 150 to 250 bytes each") \
    N(retention_messages_days, 30, 1, 90, "days", "A message to a toy leaves after, even if it may wait for longer") \
    N(retention_tokens_days, 7, 0, 3650, "days", "What is known of a token family (times, ids of tokens) leaves so long after its last token expired") \
    N(retention_bindings_days, 400, 0, 36500, "days", "A toy that neither claims nor refreshes for so long is released from its child; 0: never") \
    N(retention_children_days, 30, 0, 36500, "days", "A child that no toy is bound to is forgotten after: the key of its pseudonym; 0: never") \
    N(retention_memory_days, 30, 0, 3650, "days", "A remembered turn of talk leaves after; 0: never, it makes room for newer ones") \
    N(retention_reports_days, 90, 0, 3650, "days", "What is counted for parents of a day (minutes of play, what was blocked) leaves after, and an alert that nobody takes; 0: never") \
    N(upgrade_backup_days, 14, 0, 3650, "days", "Before an upgrade changes the database a backup of it is made in the data directory, and kept for so long; 0: none is made") \
    N(telemetry_interval_s, 300, 0, 86400, "seconds", "Of a toy's telemetry one row in so long is kept; 0: none") \
    N(retention_telemetry_days, 7, 0, 365, "days", "A toy's telemetry leaves after, and beyond its newest 4096 rows; 0: only the last row is kept") \
    N(retention_sessions_days, 30, 0, 3650, "days", "A toy's past session leaves after, and beyond its newest 50; 0: only then") \
    N(retention_blocked_words_days, 7, 1, 365, "days", "Words that blocked_words keeps leave after; all of them, when it is off") \
    N(retention_batches_days, 0, 0, 36500, "days", "Records of production batches leave after; 0: never") \
    N(retention_admin_tokens_days, 90, 0, 36500, "days", "Records of admin tokens leave so long after these expired or were revoked; 0: never") \
    N(drain_timeout_ms, 10000, 100, 600000, "ms", "SIGTERM: the longest wait for requests and sessions to end") \
    B(echo_route, false, "Serve GET /ws/echo, an unauthenticated echo for conformance and load tests") \
    E(log_level, "info", "error|warn|info|debug", "Least urgent events logged") \
    E(log_format, "logfmt", "logfmt|json", "Form of the log")
/* clang-format on */

struct config {
#define CONFIG_S(key, def, help)                 char key[512];
#define CONFIG_N(key, def, min, max, unit, help) uint32_t key;
#define CONFIG_B(key, def, help)                 bool key;
#define CONFIG_E(key, def, choices, help)        char key[24];
    CONFIG_MAP(CONFIG_S, CONFIG_N, CONFIG_B, CONFIG_E)
#undef CONFIG_S
#undef CONFIG_N
#undef CONFIG_B
#undef CONFIG_E
    /* Where trusted_proxies stands ("teddy.conf:3", "--trusted-proxies"): for who reads them. */
    char trusted_proxies_place[192];
};

/* Fills c from defaults, then the file of --config (or TEDDY_CONFIG), the environment (unknown
 * TEDDY_ names are errors, so that a typo shows) and the flags: every key is --key-with-dashes
 * VALUE or =VALUE; --no-tls is --tls off. Checks what keys say together (retry_min ≤ retry_max,
 * cert with key, --no-tls beyond loopback). TEDDY_OK; TEDDY_AGAIN: --help or --version or
 * --help-config was asked and has been printed to stdout; TEDDY_EINVAL: usage, err says why (exit
 * 2); TEDDY_EPROTO: file or environment, err names file and line or the variable (exit 1). */
TEDDY_MUST_CHECK int config_load(struct config *c, int argc, char **argv, char *err, size_t cap);
/* The data directory that c means, made (0700) when missing. */
TEDDY_MUST_CHECK int config_data_dir(const struct config *c, bool make, char *out, size_t cap,
                                     char *err, size_t err_cap);
/* Takes HOST:PORT, [V6]:PORT or PORT (on 127.0.0.1) apart. TEDDY_EINVAL when text is none of these.
 */
TEDDY_MUST_CHECK int config_host_port(const char *text, char *host, size_t cap, uint16_t *port);
/* The reference as Markdown table: key, default, range, meaning. docs/configuration.md is this
 * output. */
void config_reference(FILE *out);
/* A key as references show it. */
struct config_about {
    const char *name, *help, *range, *value; /* value: the default, "" for empty */
};
/* All keys in the table's order. */
void config_each(void (*take)(void *arg, const struct config_about *key), void *arg);

#endif
