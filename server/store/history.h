/* What is kept of a toy's past while it is bound to a child: how it was (telemetry), and when it
 * was here (sessions). Two rings per toy, which go with its binding: on release, on a claim for
 * another child, when the child is forgotten. Within a job's run. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "store/store.h"

#define TELEMETRY_ROWS_MAX 4096u /* of one toy */
#define SESSIONS_KEPT      50u   /* of one toy */
#define SESSION_REASON_LEN 23u

/* X(id, name): the members of a `telemetry` message that are kept, and the columns. */
#define TELEMETRY_MAP(X)                                                                           \
    X(BATTERY, "battery")                                                                          \
    X(RSSI, "rssi")                                                                                \
    X(HEAP, "heap")                                                                                \
    X(HEAP_MIN, "heap_min")                                                                        \
    X(UPTIME_S, "uptime_s")                                                                        \
    X(TEMPERATURE, "temperature")

enum telemetry_field {
#define TELEMETRY_ENUM(id, name) TELEMETRY_##id,
    TELEMETRY_MAP(TELEMETRY_ENUM)
#undef TELEMETRY_ENUM
        TELEMETRY_FIELDS
};

extern const char *const telemetry_names[TELEMETRY_FIELDS];

struct telemetry_row {
    uint64_t at_s;
    unsigned has; /* bit i: value[i] is known */
    double value[TELEMETRY_FIELDS];
};

struct past_session {
    uint64_t opened_s, closed_s;
    uint64_t received, sent;             /* messages */
    uint16_t close;                      /* the code that either side gave; 0: none */
    char reason[SESSION_REASON_LEN + 1]; /* a word of the server's */
};

/* Whose: nothing is written unless the toy is bound to that child, and no family but `sid` took the
 * place of one that was revoked. */
struct history_owner {
    const char *device_id, *child_id;
    const uint8_t *sid; /* STORE_JTI_LEN bytes */
};

/* Of the telemetry of one toy: no two rows closer than interval_s, the newest `rows` of them. */
struct telemetry_bounds {
    uint32_t interval_s;
    unsigned rows;
};

/* How many rows so many days are; 0 days: the last one. */
unsigned telemetry_rows(uint32_t days, uint32_t interval_s);

/* Both are fine when the toy is not the owner's any more: it is passed over. */
int store_telemetry_add(struct store_tx *tx, const struct history_owner *owner,
                        const struct telemetry_row *row, const struct telemetry_bounds *bounds);
int store_session_add(struct store_tx *tx, const struct history_owner *owner,
                      const struct past_session *session);

/* Newest first, of from_s to to_s, until each returns false. A device that is not there has none.
 */
int store_telemetry_list(struct store_tx *tx, const char *device_id, uint64_t from_s, uint64_t to_s,
                         bool (*each)(void *arg, const struct telemetry_row *row), void *arg);
int store_session_list(struct store_tx *tx, const char *device_id,
                       bool (*each)(void *arg, const struct past_session *session), void *arg);

/* Of the toys of a child behind `after_row`, the first that has any; TEDDY_ENOTFOUND: none has. */
int store_history_toy(struct store_tx *tx, const char *child_id, int64_t after_row, int64_t *row,
                      char device_id[LIMIT_ID_LEN + 1]);

#endif
