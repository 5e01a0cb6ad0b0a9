/* Structured logs, one line an event, to standard error: logfmt or JSON. No secret, token or
 * utterance may be given to it. Threads: any; a line is one write. */
#ifndef OPS_LOG_H
#define OPS_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
int log_enabled(enum log_level level);

/* A pair of the line: use LOG_S("device", id), LOG_U("status", 200); LOG_END closes. Values are
 * quoted and escaped as the format needs. */
struct log_pair {
    const char *key;
    const char *text; /* NULL: number */
    int64_t number;
};
#define LOG_S(k, v) ((struct log_pair){(k), (v), 0})
#define LOG_N(k, v) ((struct log_pair){(k), NULL, (int64_t)(v)})

void log_write(enum log_level level, const char *event, const struct log_pair *pairs,
               unsigned count);
#define LOG(level, event, ...)                                                                     \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_pair log_pairs_[] = {__VA_ARGS__};                                    \
            log_write((level), (event), log_pairs_, sizeof log_pairs_ / sizeof log_pairs_[0]);     \
        }                                                                                          \
    } while (0)

#endif
