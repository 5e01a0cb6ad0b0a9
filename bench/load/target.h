/* Where the load goes: the URL in its parts, and the lines of files that say who the toys are. */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct target {
    bool tls, literal; /* literal: the host is an address, not a name */
    char host[256], port[6];
    char path[1024], query[2048]; /* the query with its "?", or empty */
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

/* False: it is no such URL, or has no address; said on stderr. */
bool target_parse(struct target *t, const char *url);

/* The address that the n-th connection comes from; false: leave it to the system. 20,000
 * connections share one, and with spread none do (up to 16 million). Only of 127.0.0.0/8. */
bool target_source(const struct target *t, uint64_t n, bool spread, struct sockaddr_in *out);

/* A line's fields, in the text that people_read allocated. Those missing are empty. */
struct person {
    const char *id, *token, *refresh;
};

struct people {
    char *text;
    struct person *list;
    uint32_t count;
};

/* Reads a file of lines with up to three fields that blanks or commas part. False: said on
 * stderr. The caller ends with people_fini. */
bool people_read(struct people *p, const char *file);
void people_fini(struct people *p);

/* The first line of a file, without its end; NULL: said on stderr. The caller frees it. */
char *first_line(const char *file);

#endif
