#include "identity/master_key.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "identity/key_file.h"
#include "identity/master_key_file.h"
#include "proto/text.h"
#include "proto/writer.h"

#define HEX_LEN (2 * SEAL_KEY_LEN)

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span skip_space(struct span s)
{
    while (s.len > 0 && is_space(s.p[0]))
        s = (struct span){s.p + 1, s.len - 1};
    return s;
}

static bool take_key(struct span *text, uint8_t key[SEAL_KEY_LEN])
{
    if (text->len < HEX_LEN ||
        hex_decode((struct span){text->p, HEX_LEN}, key, SEAL_KEY_LEN) != TEDDY_OK)
        return false;
    *text = (struct span){text->p + HEX_LEN, text->len - HEX_LEN};
    return text->len == 0 || is_space(text->p[0]) || text->p[0] == ':';
}

const char *master_key_parse(struct span text, struct seal_master *keys)
{
    keys->count = 0;
    text = skip_space(text);
    if (text.len == 0)
        return "is empty";
    if (!take_key(&text, keys->key[0]))
        return "is not 64 hex digits, or two keys of them, newest first";
    keys->count = 1;
    text = skip_space(text);
    if (text.len > 0 && text.p[0] == ':')
        text = skip_space((struct span){text.p + 1, text.len - 1});
    else if (text.len == 0)
        return NULL;
    keys->count = 0;
    if (!take_key(&text, keys->key[1]))
        return "has something behind its first key that is not 64 hex digits";
    if (skip_space(text).len > 0)
        return "holds more than two keys";
    if (ct_equal(keys->key[0], keys->key[1], SEAL_KEY_LEN))
        return "holds the same key twice";
    keys->count = 2;
    return NULL;
}

static int from_environment(struct master_key *m, const char *text, char *err, size_t cap)
{
    const char *wrong = master_key_parse(span_of(text), &m->keys);
    m->source = MASTER_ENVIRONMENT;
    snprintf(m->from, sizeof m->from, "the environment variable " MASTER_KEY_ENV);
    if (wrong == NULL)
        return TEDDY_OK;
    snprintf(err, cap,
             "environment variable " MASTER_KEY_ENV ": %s; openssl rand -hex 32 makes a first key",
             wrong);
    return TEDDY_EPROTO;
}

static int in_directory(struct master_key *m, const char *dir, const char *name, char *err,
                        size_t cap)
{
    int n = name != NULL ? snprintf(m->path, sizeof m->path, "%s/%s", dir, name)
                         : snprintf(m->path, sizeof m->path, "%s", dir);
    if (n >= 0 && n < (int)sizeof m->path)
        return TEDDY_OK;
    snprintf(err, cap, "master key: the path of its file is too long");
    return TEDDY_EIO;
}

static int read_keys(const struct master_key *m, struct seal_master *keys, char *err, size_t cap)
{
    char text[MASTER_FILE_MAX + 1];
    size_t len = 0;
    int rc = master_file_read(m->path, m->source == MASTER_CREDENTIAL, text, &len, err, cap);
    const char *wrong = rc == TEDDY_OK ? master_key_parse((struct span){text, len}, keys) : NULL;
    wipe(text, sizeof text);
    if (wrong == NULL)
        return rc;
    snprintf(err, cap, "master key %s: it %s; put the right key there, from its backup", m->path,
             wrong);
    return TEDDY_EPROTO;
}

int master_key_read(const struct master_key *m, struct seal_master *keys, char *err, size_t cap)
{
    int rc = read_keys(m, keys, err, cap);
    if (rc == TEDDY_ENOTFOUND)
        snprintf(err, cap, "master key %s: the file is gone; put it back from its backup", m->path);
    return rc == TEDDY_ENOTFOUND ? TEDDY_EIO : rc;
}

static int read_file(struct master_key *m, char *err, size_t cap)
{
    int rc = read_keys(m, &m->keys, err, cap);
    snprintf(m->from, sizeof m->from, "%s", m->path);
    if (rc != TEDDY_ENOTFOUND || m->source == MASTER_OWN)
        return rc == TEDDY_ENOTFOUND ? TEDDY_OK : rc;
    snprintf(err, cap,
             "master key %s: there is no such file; for a new server make it: (umask 077; openssl "
             "rand -hex 32 > %s)",
             m->path, m->path);
    return TEDDY_EIO;
}

static int name_keys(struct master_key *m)
{
    for (unsigned i = 0; i < m->keys.count; i++)
        if (seal_id(m->keys.key[i], m->id[i]) != TEDDY_OK)
            return TEDDY_EIO;
    return TEDDY_OK;
}

/* The first key of a database. */
static int make_own(struct seal_master *keys, char *err, size_t cap)
{
    struct master_key *m = (struct master_key *)keys;
    if (RAND_bytes(keys->key[0], SEAL_KEY_LEN) != 1) {
        snprintf(err, cap, "master key: there is no randomness");
        return TEDDY_EIO;
    }
    keys->count = 1;
    m->made = true;
    int rc = master_key_write(m, keys, err, cap);
    return rc == TEDDY_OK ? name_keys(m) : rc;
}

static int find(struct master_key *m, const char *configured, const char *dir, char *err,
                size_t cap)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    const char *variable = getenv(MASTER_KEY_ENV);
    int rc;
    if (credentials != NULL && credentials[0] == '/') {
        m->source = MASTER_CREDENTIAL;
        rc = in_directory(m, credentials, MASTER_KEY_CREDENTIAL, err, cap);
        /* Others may be meant for other things, as a certificate. */
        if (rc != TEDDY_OK || access(m->path, F_OK) == 0)
            return rc == TEDDY_OK ? read_file(m, err, cap) : rc;
    }
    if (variable != NULL)
        return from_environment(m, variable, err, cap);
    m->source = configured[0] != 0 ? MASTER_CONFIGURED : MASTER_OWN;
    if (m->source == MASTER_OWN)
        m->keys.make = make_own;
    rc = configured[0] != 0 ? in_directory(m, configured, NULL, err, cap)
                            : in_directory(m, dir, MASTER_KEY_FILE, err, cap);
    return rc == TEDDY_OK ? read_file(m, err, cap) : rc;
}

/* The variable leaves the process's memory, and with it /proc/PID/environ. */
static void wipe_environment(void)
{
    char *variable = getenv(MASTER_KEY_ENV);
    if (variable == NULL)
        return;
    wipe(variable, strlen(variable));
    unsetenv(MASTER_KEY_ENV);
}

int master_key_find(struct master_key *m, const char *configured, const char *dir, char *err,
                    size_t cap)
{
    *m = (struct master_key){0};
    m->keys.from = m->from;
    int rc = find(m, configured, dir, err, cap);
    wipe_environment();
    if (rc == TEDDY_OK && name_keys(m) != TEDDY_OK) {
        snprintf(err, cap, "master key: OpenSSL has no HKDF");
        rc = TEDDY_EIO;
    }
    if (rc != TEDDY_OK)
        master_key_forget(m);
    return rc;
}

bool master_key_in_file(const struct master_key *m)
{
    return m->source == MASTER_CONFIGURED || m->source == MASTER_OWN;
}

int master_key_settle(struct master_key *m, char *err, size_t cap)
{
    if (!master_key_in_file(m))
        return TEDDY_OK;
    key_file_tidy(m->path);
    if (m->keys.count < 2)
        return TEDDY_OK;
    m->keys.count = 1;
    return master_key_write(m, &m->keys, err, cap);
}

int master_key_write(const struct master_key *m, const struct seal_master *keys, char *err,
                     size_t cap)
{
    char text[SEAL_MASTERS * (HEX_LEN + 1) + 1];
    struct writer w = writer_on(text, sizeof text);
    for (unsigned i = 0; i < keys->count; i++) {
        writer_hex(&w, keys->key[i], SEAL_KEY_LEN);
        writer_text(&w, "\n");
    }
    int rc = writer_end(&w) == TEDDY_OK ? master_file_write(m->path, text, w.len, err, cap)
                                        : TEDDY_ETOOBIG;
    wipe(text, sizeof text);
    return rc;
}

void master_key_forget(struct master_key *m)
{
    wipe(m->keys.key, sizeof m->keys.key);
}

const char *master_key_source(const struct master_key *m)
{
    switch (m->source) {
    case MASTER_CREDENTIAL:
        return "credential";
    case MASTER_ENVIRONMENT:
        return "environment";
    default:
        return "file";
    }
}
