/* The ids of the utterances that a device said last, across its sessions: what makes a repeated one
 * be processed once. One table per hub, bounded in bytes; the device longest silent makes room.
 * Nothing is allocated before the first id is used. It belongs to the pair of device and child:
 * another child's words are not known to it. Threads: the hub's loop. */
#ifndef SESSION_RECENT_H
#define SESSION_RECENT_H

#include "proto/span.h"

#define RECENT_IDS        32
#define RECENT_ANSWER_MAX 2048
#define RECENT_BYTES_MAX  (16u << 20)

struct recent_device;

struct recent {
    uint64_t seed;
    struct recent_device **buckets; /* NULL until used */
    struct recent_device *newest, *oldest;
    size_t bytes, bytes_max;
};

void recent_init(struct recent *r, uint64_t seed, size_t bytes_max);
void recent_fini(struct recent *r);

/* An id as it is remembered; never 0. */
uint64_t recent_id(const struct recent *r, struct span id);
/* Who: the device's and the child's id. True when the id is among the pair's last. */
bool recent_seen(struct recent *r, const char *device, const char *child, uint64_t id);
/* True when any id of the pair is remembered. */
bool recent_known(struct recent *r, const char *device, const char *child);
/* Remembers the id as taken. When there is no memory it is simply not remembered. */
void recent_add(struct recent *r, const char *device, const char *child, uint64_t id);
/* Takes an id back: it was not answered to the end, so that it may be said again. */
void recent_forget(struct recent *r, const char *device, const char *child, uint64_t id);
/* Drops all that is known of a device. */
void recent_drop(struct recent *r, const char *device);
/* Drops all that is known of a child. */
void recent_drop_child(struct recent *r, const char *child);

/* The pair's latest utterance, whose answer now begins; id 0: one without an id. */
void recent_answer_begin(struct recent *r, const char *device, const char *child, uint64_t id);
void recent_answer_add(struct recent *r, const char *device, const char *child, struct span text);
/* What was added is no whole answer: it is dropped. */
void recent_answer_drop(struct recent *r, const char *device, const char *child);
/* That answer, when id is the latest utterance and its answer fitted; otherwise empty. Valid until
 * the next call here. */
struct span recent_answer(struct recent *r, const char *device, const char *child, uint64_t id);

#endif
