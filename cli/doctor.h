/* teddyctl doctor: what its examinations share. Each finds things, and says of what is wrong which
 * command mends it. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <sys/types.h>

#include "cli/ctl.h"
#include "ops/config.h"

#define CERTIFICATE_SOON_DAYS 21
#define WORD_MAX              4200

enum finding { FINDING_GOOD, FINDING_WARNS, FINDING_WRONG };

struct doctor {
    struct ctl *ctl;
    struct config config;
    const char *config_file; /* NULL: none */
    const char *proc;        /* /proc */
    bool has_dir;            /* ctl->dir is there */
    char dir[WORD_MAX];      /* ctl->dir as a word of a command */
    uid_t owner;             /* of it */
    gid_t group;
    pid_t server; /* that answers; 0: none */
    const char *area;
    json_t *findings;
    unsigned wrong, warns;
};

void found_good(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* mend: the command, as it is to be typed. */
void found(struct doctor *d, enum finding f, const char *mend, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A name as one word of a shell, in quotes where it needs them, so that a command means what it
 * says whatever the file is called; of what is too long, or would steer a terminal, "…". Returns
 * out. */
const char *doctor_word(const char *name, char out[WORD_MAX]);

/* As the server would read it: --config, --data and the environment. TEDDY_… of config_load, with
 * err. */
TEDDY_MUST_CHECK int doctor_config(const struct ctl *ctl, struct config *c, char *err, size_t cap);

/* doctor_machine.c */
void examine_limits(struct doctor *d);
void examine_clock(struct doctor *d);
/* doctor_disk.c */
void examine_disk(struct doctor *d);
/* doctor_files.c */
void examine_files(struct doctor *d);
void examine_database(struct doctor *d);
/* doctor_certificate.c */
void examine_certificate(struct doctor *d);
/* doctor_ports.c */
void examine_ports(struct doctor *d);

struct certificate_facts {
    char file[4096], expires[32];
    int64_t days; /* left; below 0: over */
};
/* The certificate that the server serves with. False: there is none, or it cannot be read. */
bool certificate_look(struct ctl *ctl, struct certificate_facts *out);

#endif
