/* How long each kind of data is kept. What is too old is removed piece by piece: each a job of its
 * own that looks at some hundred rows, so that claims never wait for it. docs/privacy.md has the
 * kinds, and the audit trail and replay rows, which are bounded elsewhere. */
#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

#include "store/store.h"

/* X(id, name of the metric's label) */
#define RETENTION_MAP(X)                                                                           \
    X(MESSAGES_EXPIRED, "messages_expired")                                                        \
    X(MESSAGES, "messages")                                                                        \
    X(TOKENS, "token_families")                                                                    \
    X(RELEASED, "released")                                                                        \
    X(BINDINGS, "bindings")                                                                        \
    X(CHILDREN, "children")                                                                        \
    X(BATCHES, "batches")                                                                          \
    X(ADMIN_TOKENS, "admin_tokens")                                                                \
    X(TURNS, "turns")                                                                              \
    X(REPORTS, "reports")                                                                          \
    X(ALERTS, "alerts")                                                                            \
    X(TELEMETRY, "telemetry")                                                                      \
    X(SESSIONS, "sessions")                                                                        \
    X(BLOCKED_WORDS, "blocked_words")

enum retention_kind {
#define RETENTION_ENUM(id, name) RETENTION_##id,
    RETENTION_MAP(RETENTION_ENUM)
#undef RETENTION_ENUM
        RETENTION_KINDS
};

/* Days; 0: for ever, but of tokens_days: not a day longer than it is in force, and of
 * telemetry_days: a toy's last row alone, as long as it is bound. */
struct retention_bounds {
    uint32_t messages_days; /* a message to a toy, however long it may wait */
    uint32_t tokens_days;   /* what is known of a token family after its last token has expired */
    uint32_t bindings_days; /* a binding of a toy that neither claims nor refreshes */
    uint32_t children_days; /* the pseudonym's key of a child without a toy */
    uint32_t batches_days;
    uint32_t admin_tokens_days;  /* after they expired or were revoked */
    uint32_t memory_days;        /* a remembered turn */
    uint32_t reports_days;       /* what was played and blocked, and alerts nobody took */
    uint32_t telemetry_days;     /* how a toy was */
    uint32_t sessions_days;      /* when it was here */
    uint32_t blocked_words_days; /* 0: they go at once, as none are to be kept */
};

enum retention_step {
    RETAIN_MESSAGES,
    RETAIN_DEVICES,
    RETAIN_CHILDREN,
    RETAIN_TALK,
    RETAIN_REST,
    RETAIN_DONE
};

/* Where a walk through the tables is. All zero: at its beginning. */
struct retention_place {
    enum retention_step step;
    int64_t row; /* of a device */
    struct downlink_id message;
    char child_id[LIMIT_ID_LEN + 1];
};

/* In a read job: where the piece from `from` on ends, and in *due whether store_retain has anything
 * to do in it. What is found by its age costs nothing to look for: that is always due. */
int store_retain_look(struct store_tx *tx, const struct retention_bounds *bounds, uint64_t now_s,
                      const struct retention_place *from, struct retention_place *to, bool *due);

/* One piece, in a write job: what is too old from `from` on goes, counted in pruned; *to is where
 * the next piece begins, RETAIN_DONE at the end. */
int store_retain(struct store_tx *tx, const struct retention_bounds *bounds, uint64_t now_s,
                 const struct retention_place *from, struct retention_place *to,
                 uint64_t pruned[RETENTION_KINDS]);

#endif
