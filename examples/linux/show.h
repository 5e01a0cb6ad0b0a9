/* What the toy prints: the conversation on stdout, its troubles on stderr. */
#ifndef DEVICE_SHOW_H
#define DEVICE_SHOW_H

#include <stdio.h>

#include "args.h"
#include "sdk/port/posix/teddy_posix.h"
#include "teddy/client.h"

#define SHOW_REPLY_MAX 65536

struct show {
    enum output output;
    const char *device_id, *child_id;
    bool colour, prompts, prompted, verbose;
    char certificate[65]; /* the one shown last */
    char reply[SHOW_REPLY_MAX];
    size_t reply_len;
    uint64_t reply_seq;
    char reason[320]; /* of the last failure, for the closing line */
};

void show_init(struct show *s, const struct args *args);
void show_event(struct show *s, const struct teddy_event *e, const struct teddy_posix_peer *peer);
/* A message of the server's queue. */
void show_message(struct show *s, const struct teddy_message *m);
void show_said(struct show *s, const char *text, size_t len, uint64_t id);
/* On a terminal: invites the next line, once. */
void show_prompt(struct show *s);
/* A line of the log, or of our own, on stderr. */
void show_note(struct show *s, enum teddy_log_level level, const char *line);

/* What went wrong and what to do about it, for people. */
void show_reason(const struct teddy_event *e, const char *device_id, char *out, size_t out_len);

#endif
